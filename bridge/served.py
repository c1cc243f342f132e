"""Puts a record of each served page on `feed.served.v1`, behind the pages: it never delays one and never fails one.

A page is put into a bounded queue. A task encodes what has come and publishes it, some times a second. What the log
does not take is tried again while there is room in the queue; what does not fit is dropped and counted.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Protocol

import structlog

from bridge.domain import served_record
from bridge.domain.served_record import ServedRecord
from bridge.ports import Clock
from eventlog.ports import MAX_RECORD_BYTES, Durability, Headers, Outcome, Publisher, Record, RecordTooLargeError
from eventlog.topics import SERVED
from eventlog.tracing import with_trace
from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE
from runtime.throttle import Throttle

_LOG = structlog.get_logger(__name__)

HEADERS: Final[Headers] = ((CONTRACT_KEY, CONTRACT_RELEASE.encode()), ("content-type", b"application/json"))

# Pages that come within this time are published together: one write of a journal holds them all.
_COLLECT_S: Final = 0.2
# Records of one write, and how many are encoded before requests have their turn again: 25 us each at most.
_MAX_BATCH: Final = 500
_MAX_SLICE: Final = 16
# Until a log that refused is asked again.
_RETRY_S: Final = 0.5
# At the end, for what is still queued; then the log has a little time of its own.
_FLUSH_S: Final = 1.0


class Drop(StrEnum):
    """Why a record was dropped."""

    QUEUE_FULL = "queue_full"  # the log has been slow or away for long
    TOO_LARGE = "too_large"
    UNWRITABLE = "unwritable"  # it holds what JSON does not
    STOPPED = "stopped"  # the log did not take it before the process ended


class ServedTelemetry(Protocol):
    """Takes what happens to the records; must not raise."""

    def published(self, count: int) -> None:
        """Takes how many the log has acknowledged."""

    def dropped(self, count: int, why: Drop) -> None:
        """Takes how many are lost."""


class Served(Protocol):
    """Somebody who takes the records of served pages."""

    def take(self, record: ServedRecord) -> None:
        """Takes one; must be quick, and must neither wait nor raise."""


class ServedLog:
    """Publishes the records of served pages behind the pages.

    Args:
        publisher: The log; started and closed with this.
        clock: Time.
        telemetry: Told of every batch and every drop.
        max_records: Most records that wait.
    """

    def __init__(self, publisher: Publisher, clock: Clock, telemetry: ServedTelemetry, *, max_records: int) -> None:
        self._publisher = publisher
        self._clock = clock
        self._telemetry = telemetry
        self._max_records = max_records
        self._waiting: deque[tuple[ServedRecord, Headers]] = deque()
        # In the hands of the publisher, or back from it to be tried again.
        self._in_hand: list[Record] = []
        self._come = asyncio.Event()
        self._stopping = False
        self._throttle: Throttle[int] = Throttle()
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many records are not published yet."""
        return len(self._waiting) + len(self._in_hand)

    def take(self, record: ServedRecord) -> None:
        """Takes the record of a page that was just served; never waits and never fails."""
        if self.count >= self._max_records:
            self._drop(1, Drop.QUEUE_FULL)
            return
        self._waiting.append((record, with_trace(HEADERS)))
        self._come.set()

    async def start(self) -> None:
        """Opens the log and begins to publish."""
        await self._publisher.start()
        self._task = asyncio.create_task(self._run(), name="served-log")

    async def stop(self) -> None:
        """Publishes what is queued, within a second, and closes the log."""
        if self._task is None:
            return
        self._stopping = True
        self._come.set()
        _, late = await asyncio.wait((self._task,), timeout=_FLUSH_S)
        for task in late:
            task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self.count:
            self._drop(self.count, Drop.STOPPED)
        with contextlib.suppress(Exception):  # whatever it is, the process ends
            await self._publisher.close()

    async def _run(self) -> None:
        while self.count or not self._stopping:
            if not self.count:
                await self._come.wait()
            self._come.clear()
            if not self._stopping and self.count < _MAX_BATCH:
                await self._clock.sleep(_COLLECT_S)
            await self._publish_some()

    async def _publish_some(self) -> None:
        """Publishes one batch; keeps of it what the log did not take."""
        await self._encode(_MAX_BATCH - len(self._in_hand))
        try:
            outcomes = await self._publisher.publish_many(self._in_hand)
        except Exception:  # noqa: BLE001  # a fault of the log must not end the task: every later page would be lost
            _LOG.exception("bridge.served_log_failed")
            await self._clock.sleep(_RETRY_S)
            return
        if self._settle(outcomes):
            await self._clock.sleep(_RETRY_S)

    async def _encode(self, room: int) -> None:
        for number in range(1, min(room, len(self._waiting)) + 1):
            page, headers = self._waiting.popleft()
            try:
                value = served_record.encode(page, MAX_RECORD_BYTES - len(page.user_id.encode()))
            except (TypeError, ValueError):
                _LOG.exception("bridge.served_record_unwritable")
                self._drop(1, Drop.UNWRITABLE)
            else:
                self._in_hand.append(Record(SERVED, page.user_id, value, headers))
            if number % _MAX_SLICE == 0:
                await asyncio.sleep(0)

    def _settle(self, outcomes: Sequence[Outcome]) -> bool:
        """Lets go of what is durable or hopeless; says whether something is left to be tried again.

        A record that was not acknowledged may be there all the same: readers drop the second copy by its page.
        """
        too_large = sum(isinstance(outcome, RecordTooLargeError) for outcome in outcomes)
        taken = sum(isinstance(outcome, Durability) for outcome in outcomes)
        pairs = zip(self._in_hand, outcomes, strict=True)
        self._in_hand = [each for each, outcome in pairs if not isinstance(outcome, Durability | RecordTooLargeError)]
        if taken:
            self._telemetry.published(taken)
        if too_large:
            self._drop(too_large, Drop.TOO_LARGE)
        return bool(self._in_hand)

    def _drop(self, count: int, why: Drop) -> None:
        self._telemetry.dropped(count, why)
        suppressed = self._throttle.admit(why, count, self._clock.monotonic())
        if suppressed is not None:
            reason = self._publisher.not_ready()
            _LOG.warning("bridge.served_dropped", count=count, why=why.value, suppressed=suppressed, log=reason)
