"""Publishes into the embedded journal, with group commit."""

import asyncio
import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from eventlog.adapters.journal_file import DEFAULT_MAX_BYTES, JournalFile
from eventlog.batch import Batch
from eventlog.ports import (
    Durability,
    EventLogError,
    LogFullError,
    NotAcknowledgedError,
    Outcome,
    PublishError,
    Record,
)
from eventlog.telemetry import JournalMeasured, NoTelemetry, Telemetry

_LOG = structlog.get_logger(__name__)

# Records and bytes of one commit: it stays within some milliseconds.
_MAX_GROUP: Final = 2_000
_MAX_GROUP_BYTES: Final = 4_000_000
# Records that may wait for the disk; 10 s at 2,000 a second.
_MAX_WAITING: Final = 20_000
# How often an idle publisher looks whether it could write, and any tells how large the journal is.
_CHECK_S: Final = 1.0


class _Waiting(NamedTuple):
    """What of a batch is to be written."""

    batch: Batch
    indices: Sequence[int]
    records: Sequence[Record]


class JournalPublisher:
    """Publishes records; each is acknowledged once the commit that holds it is on disk.

    Args:
        path: The journal's folder.
        max_bytes: Refuse beyond this size, in bytes.
        keep: See JournalFile.
        publish_timeout_s: Longest wait for the commit, in seconds.
        telemetry: Told of failures and of quarantine.
        measures: Whether it is also told how large the journal is; of a spool its relay tells that, and more.
    """

    def __init__(  # each by its name
        self,
        path: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        keep: Mapping[str, int] | None = None,
        publish_timeout_s: float = 5.0,
        telemetry: Telemetry | None = None,
        measures: bool = True,
    ) -> None:
        self._telemetry = telemetry or NoTelemetry()
        self._open = functools.partial(JournalFile, path, max_bytes=max_bytes, keep=keep, telemetry=self._telemetry)
        self._path = path
        self._publish_timeout_s = publish_timeout_s
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._waiting = 0
        self._problem: str | None = "not started"
        self._thread: threading.Thread | None = None
        self._measure_at = 0.0 if measures else float("inf")

    async def start(self) -> None:
        """Opens the journal.

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
        self.send(batch)
        return await batch.outcomes(self._publish_timeout_s)

    def send(self, batch: Batch) -> None:
        """Queues what of a batch has no outcome yet; the commit settles it, or refuses it."""
        indices = batch.unsettled()
        waiting = _Waiting(batch, indices, [batch.records[index] for index in indices])
        count = len(indices)
        if self._thread is None:
            _settle(waiting, NotAcknowledgedError("the publisher is closed"))
        elif self._waiting + count > _MAX_WAITING:
            _settle(waiting, LogFullError("too many records wait for the disk"))
        elif count:
            self._waiting += count
            self._queue.put(waiting)

    def not_ready(self) -> str | None:
        """Says why the last attempt to write failed."""
        return self._problem

    async def close(self) -> None:
        """Commits what waits, then closes the journal."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)
            self._problem = "closed"

    def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            file = self._open()
        except OSError as error:
            failure = EventLogError(f"the journal {self._path} cannot be opened: {error}")
            self._tell(functools.partial(opened.set_exception, failure))
            return
        self._problem = None
        self._tell(functools.partial(opened.set_result, None))
        while (group := self._next_group()) is not None:
            self._serve(file, group)
            self._measure(file)
        file.close()

    def _next_group(self) -> list[_Waiting] | None:
        """Returns everything that waits, nothing when nothing came for a while, None at the end."""
        group: list[_Waiting] = []
        records = size = 0
        try:
            waiting = self._queue.get(timeout=_CHECK_S)
            while waiting is not None:
                group.append(waiting)
                records += len(waiting.indices)
                size += sum(len(record.value) for record in waiting.records)
                if records >= _MAX_GROUP or size >= _MAX_GROUP_BYTES:
                    return group
                waiting = self._queue.get_nowait()
        except queue.Empty:
            return group
        if group:
            self._queue.put(None)
        return group or None

    def _serve(self, file: JournalFile, group: Sequence[_Waiting]) -> None:
        """Writes a group and tells its outcome; with nothing to write, looks whether it could."""
        outcome: Outcome = Durability.JOURNAL
        problem = None
        try:
            if group:
                file.append([record for waiting in group for record in waiting.records])
            else:
                file.require_writable(try_it=self._problem is not None)
        except PublishError as error:
            outcome, problem = error, str(error)
        except Exception as error:  # noqa: BLE001  # without its thread the publisher would take records for ever
            outcome = NotAcknowledgedError("the journal could not be written")
            problem = f"the journal cannot be written: {error}"
            self._telemetry.journal_failed()
            _LOG.error("eventlog.journal_failed", error=str(error))
        self._problem = problem
        self._tell(functools.partial(self._settle, group, outcome))

    def _measure(self, file: JournalFile) -> None:
        if time.monotonic() >= self._measure_at:
            self._measure_at = time.monotonic() + _CHECK_S
            with contextlib.suppress(OSError):
                self._telemetry.journal_measured(JournalMeasured(file.bytes_used()))

    def _settle(self, group: Sequence[_Waiting], outcome: Outcome) -> None:
        for waiting in group:
            self._waiting -= len(waiting.indices)
            _settle(waiting, outcome)

    def _tell(self, call: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(call)


def _settle(waiting: _Waiting, outcome: Outcome) -> None:
    tell = waiting.batch.settle if outcome is Durability.JOURNAL else waiting.batch.refuse
    for index in waiting.indices:
        tell(index, outcome)
