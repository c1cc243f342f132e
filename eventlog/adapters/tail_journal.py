"""Watches a topic of the embedded journal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import ConsumeError, StoredRecord

_LOOK_S: Final = 0.05


class JournalTail:
    """Shows one topic; it has no position in the journal, so nothing is kept for it.

    Args:
        path: The journal.
        topic: Name of the topic.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        self._file: JournalFile | None = None
        self._next = 0

    def start(self, *, from_oldest: bool) -> None:
        """Begins at the oldest record, or at the end."""
        with _errors():
            self._file = JournalFile(self._path)
            self._next = 0 if from_oldest else self._file.next_offset(self._topic) or 0

    def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records."""
        deadline = time.monotonic() + timeout_s
        while not (found := self._read(max_records)) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if found:
            self._next = found[-1].offset + 1
        return found

    def close(self) -> None:
        """Closes the journal."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, max_records: int) -> list[StoredRecord]:
        if self._file is None:
            raise ConsumeError("not started")
        with _errors():
            return self._file.read(self._topic, self._next, max_records)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConsumeError(f"the journal cannot be read: {error}") from error
