"""Publishes into the embedded journal, with group commit."""

import asyncio
import functools
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from eventlog.adapters.journal_sqlite import DEFAULT_MAX_BYTES, JournalFile
from eventlog.batch import Batch
from eventlog.ports import Durability, EventLogError, LogFullError, NotAcknowledgedError, Outcome, Record

_LOG = structlog.get_logger(__name__)

# Records of one commit: at 300 bytes each it stays within a few milliseconds.
_MAX_GROUP: Final = 2_000
# Records that may wait for the disk; 10 s at 2,000 a second.
_MAX_WAITING: Final = 20_000
# How often an idle publisher looks whether it could write.
_CHECK_S: Final = 1.0


class JournalPublisher:
    """Publishes records; each is acknowledged once the commit that holds it is on disk.

    Args:
        path: The journal file.
        max_bytes: Refuse beyond this size, in bytes.
        keep: See JournalFile.
        publish_timeout_s: Longest wait for the commit, in seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        keep: Mapping[str, int] | None = None,
        publish_timeout_s: float = 5.0,
    ) -> None:
        self._open = functools.partial(JournalFile, path, max_bytes=max_bytes, keep=keep)
        self._path = path
        self._publish_timeout_s = publish_timeout_s
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._waiting = 0
        self._problem: str | None = "not started"
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Opens the file.

        Raises:
            EventLogError: When it cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="journal", daemon=True)
        self._thread.start()
        await opened

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        """Hands the records to the journal's thread and waits for the commit."""
        batch = Batch(records)
        count = len(batch.unsettled())
        if self._thread is None:
            batch.settle_all(NotAcknowledgedError("the publisher is closed"))
        elif self._waiting + count > _MAX_WAITING:
            batch.settle_all(LogFullError("too many records wait for the disk"))
        elif count:
            self._waiting += count
            self._queue.put(batch)
        return await batch.outcomes(self._publish_timeout_s)

    def not_ready(self) -> str | None:
        """Says why the last attempt to write failed."""
        return self._problem

    async def close(self) -> None:
        """Commits what waits, then closes the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)
            self._problem = "closed"

    def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            file = self._open()
        except (sqlite3.Error, OSError) as error:
            failure = EventLogError(f"the journal {self._path} cannot be opened: {error}")
            self._tell(functools.partial(opened.set_exception, failure))
            return
        self._problem = None
        self._tell(functools.partial(opened.set_result, None))
        while (group := self._next_group()) is not None:
            file = self._serve(file, group)
        file.close()

    def _next_group(self) -> list[Batch] | None:
        """Returns everything that waits, nothing when nothing came for a while, None at the end."""
        group: list[Batch] = []
        try:
            batch = self._queue.get(timeout=_CHECK_S)
            while batch is not None:
                group.append(batch)
                if sum(len(each.records) for each in group) >= _MAX_GROUP:
                    break
                batch = self._queue.get_nowait()
        except queue.Empty:
            return group
        if batch is None and group:
            self._queue.put(None)
        return group or None

    def _serve(self, file: JournalFile, group: list[Batch]) -> JournalFile:
        """Writes a group and tells its outcome; returns the file to go on with."""
        records = [batch.records[index] for batch in group for index in batch.unsettled()]
        outcome: Outcome = Durability.JOURNAL
        try:
            if records:
                file.append(records)
            else:
                file.require_writable(try_it=self._problem is not None)
            self._problem = None
        except LogFullError as error:
            outcome, self._problem = error, str(error)
        except (sqlite3.Error, OSError) as error:
            outcome, self._problem = _outcome(error), f"the journal cannot be written: {error}"
            _LOG.error("eventlog.journal_failed", error=str(error))
            file = self._reopened(file)
        self._tell(functools.partial(self._settle, group, outcome))
        return file

    def _reopened(self, file: JournalFile) -> JournalFile:
        try:
            fresh = self._open()
        except (sqlite3.Error, OSError):
            return file
        file.close()
        return fresh

    def _settle(self, group: list[Batch], outcome: Outcome) -> None:
        for batch in group:
            self._waiting -= len(batch.unsettled())
            batch.settle_all(outcome)

    def _tell(self, call: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(call)


def _outcome(error: Exception) -> Outcome:
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
        return LogFullError("the disk under the journal is full", retry_after_s=_CHECK_S)
    return NotAcknowledgedError("the journal could not be written")
