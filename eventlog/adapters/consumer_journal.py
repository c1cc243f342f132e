"""Reads a topic of the embedded journal, from another process than the one that writes it."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import structlog

from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import ConsumeError, FindOffsets, Offsets, Partition, StoredRecord
from eventlog.telemetry import Telemetry

_LOG = structlog.get_logger(__name__)

# How often the journal is looked at while nothing comes; one look is a read of 32 bytes.
_LOOK_S: Final = 0.025

# How often the position is written: each write is a disk flush.
_SAVE_S: Final = 1.0

ResultT = TypeVar("ResultT")


class JournalConsumer:
    """Reads one topic.

    Args:
        path: The journal's folder.
        topic: Name of the topic.
        group: Name of the reader; records that every reader has passed are dropped.
        telemetry: Told of what is put into quarantine.
    """

    def __init__(self, path: Path, topic: str, group: str, *, telemetry: Telemetry | None = None) -> None:
        self._open = functools.partial(JournalFile, path, telemetry=telemetry)
        self._partition = Partition(topic, 0)
        self._group = group
        # A journal stays on one thread.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal_consume")
        self._file: JournalFile | None = None
        self._next: int | None = None
        self._committed = 0
        self._save_at = 0.0
        self._problem: str | None = "not started"

    async def start(self, find_offsets: FindOffsets) -> None:
        """Notes whom to ask where to begin."""
        self._find_offsets = find_offsets

    async def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records."""
        deadline = time.monotonic() + timeout_s
        start = self._next if self._next is not None else await self._first()
        while True:
            found = await self._run(lambda file: file.read(self._partition.topic, start, max_records))
            if found:
                self._next = found[-1].offset + 1
                return found
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return []
            await asyncio.sleep(min(_LOOK_S, left_s))

    async def commit(self, offsets: Offsets) -> None:
        """Keeps the position in the journal and drops what nobody needs any more."""
        self._committed = offsets.get(self._partition, self._committed)
        if time.monotonic() >= self._save_at:
            await self._run(self._save_position)

    async def lag(self) -> int | None:
        """Returns how many records follow the committed one."""
        if self._next is None:
            return None
        try:
            return await self._run(lambda file: file.count_from(self._partition.topic, self._committed))
        except ConsumeError:
            return None

    def not_ready(self) -> str | None:
        """Says why the last look at the file failed."""
        return self._problem

    async def close(self) -> None:
        """Keeps the position and closes the file."""
        with contextlib.suppress(ConsumeError):
            await self._run(self._save_position)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close_file)
        self._thread.shutdown(wait=False)

    async def _first(self) -> int:
        """Returns where to begin: at the oldest record when the journal never got to where the reader was."""
        start = (await self._find_offsets([self._partition])).get(self._partition, 0)
        end = await self._run(lambda file: file.next_offset(self._partition.topic))
        self._next = self._committed = start if end is not None and start <= end else 0
        return self._next

    async def _run(self, work: Callable[[JournalFile], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[JournalFile], ResultT]) -> ResultT:
        try:
            if self._file is None:
                self._file = self._open()
            result = work(self._file)
        except OSError as error:
            self._problem = f"the journal cannot be read: {error}"
            self._close_file()
            raise ConsumeError(self._problem) from error
        self._problem = None
        return result

    def _save_position(self, file: JournalFile) -> None:
        self._save_at = time.monotonic() + _SAVE_S
        if not self._committed:
            return
        try:
            file.set_position(self._partition.topic, self._group, self._committed)
        except OSError as error:  # a full disk must not stop the reader who makes room on it
            _LOG.warning("eventlog.position_not_saved", error=str(error))

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
