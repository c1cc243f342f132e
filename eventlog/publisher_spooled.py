"""Kafka first, the journal behind: an event is durable in one of them before it is acknowledged.

What goes where is decided by `eventlog.domain.router`; here it is done. Everything happens on the event loop's thread
and in the order in which the calls came, so that the order of each key is kept (docs/decisions/0017).
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from eventlog.batch import SpooledBatch
from eventlog.domain.pace import Pace
from eventlog.domain.router import Reason, Router, Way
from eventlog.ports import Durability, LogFullError, NotAcknowledgedError, Outcome, Publisher, Record
from eventlog.relay import Backlog, Relay, Sender
from eventlog.telemetry import Telemetry

_LOG = structlog.get_logger(__name__)

# Longest wait for Kafka's confirmation before the journal takes over.
DEFAULT_WAIT_S: Final = 0.04
# Records of one write; at 300 bytes each it stays within a few milliseconds.
_MAX_GROUP: Final = 2_000
# Records that may wait for the journal; 10 s at 2,000 a second.
_MAX_WAITING: Final = 20_000
_FULL_RETRY_AFTER_S: Final = 1.0
# For so long nobody tries a journal that was found full: who sends again at once would wait for the disk each time.
_FULL_S: Final = 0.02
# Of closing: how long calls under way and the relay's window may take.
_CLOSE_S: Final = 5.0
_CLOSE_RELAY_S: Final = 0.5
_LOOK_S: Final = 0.005


class Kafka(Sender, Protocol):
    """The Kafka publisher as it is used here."""

    async def start(self) -> None:
        """Starts the producer."""

    def poll(self) -> None:
        """Takes the delivery reports that are there."""

    async def close(self) -> None:
        """Sends what is queued, within a bound."""


class SpooledPublisher:
    """Publishes records to Kafka; what that does not confirm in time goes into the journal, and on from there.

    Args:
        kafka: The producer, whose queue must not drop records by itself.
        journal: Takes what Kafka does not.
        backlog: Reads the same journal.
        telemetry: Told of every switch.
        wait_s: How long Kafka may take to confirm, in seconds; 0: everything goes through the journal.
        publish_timeout_s: Longest wait for an acknowledgement, in seconds.
    """

    def __init__(
        self,
        kafka: Kafka,
        journal: Publisher,
        backlog: Backlog,
        *,
        telemetry: Telemetry,
        wait_s: float = DEFAULT_WAIT_S,
        publish_timeout_s: float = 5.0,
    ) -> None:
        self._kafka = kafka
        self._journal = journal
        self._telemetry = telemetry
        self._publish_timeout_s = publish_timeout_s
        self._router: Router[SpooledBatch] = Router(wait_s)
        self._told = self._router.last
        self._pace = Pace()
        self._relay = Relay(backlog, kafka, self._router, self._pace, self._send, self._is_journal_ready, telemetry)
        self._closed: str | None = "not started"
        self._work = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._check_at_s = math.inf
        self._full: tuple[LogFullError, float] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def way(self) -> Way:
        """Where a new record goes now."""
        return self._router.way

    async def start(self) -> None:
        """Starts both; a journal that cannot be opened is tried again in the background."""
        self._loop = asyncio.get_running_loop()
        await self._journal.start()
        await self._kafka.start()
        self._closed = None
        self._tasks = [
            asyncio.create_task(self._write(), name="spool_write"),
            asyncio.create_task(self._relay.run(), name="spool_relay"),
            asyncio.create_task(self._relay.watch(), name="spool_watch"),
        ]

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        """Has the records taken by Kafka, or else by the journal; says which."""
        batch = SpooledBatch(records, self._refused)
        if self._closed or self._is_hopeless():
            batch.settle_all(NotAcknowledgedError(str(self.not_ready())))
        elif self._router.queued_records > _MAX_WAITING:
            batch.settle_all(LogFullError("too many records wait for the journal", _FULL_RETRY_AFTER_S))
        elif self._full and self._router.way is Way.JOURNAL and time.monotonic() < self._full[1]:
            batch.settle_all(self._full[0])
        elif len(batch):
            self._take_in(batch)
        return await batch.outcomes(self._publish_timeout_s)

    def not_ready(self) -> str | None:
        """Says why neither Kafka nor the journal would take a record."""
        if self._closed:
            return self._closed
        if any(task.done() for task in self._tasks):
            return "the relay or the writer of the journal has ended"
        kafka = self._kafka.not_ready()
        journal = self._journal.not_ready() if kafka else None
        return f"{kafka}; {journal}" if journal else None

    async def close(self) -> None:
        """Has everything under way written, within a bound; the journal keeps what Kafka has not."""
        if self._closed:
            return
        self._closed = "closed"
        if self._router.way is Way.HOLD:
            self._router.leave_kafka(Reason.CLOSING, time.monotonic())
            self._changed()
        await self._until(lambda: self._router.is_idle, _CLOSE_S)
        if self._kafka.not_ready() is None:
            await self._until(lambda: self._router.way is Way.KAFKA, _CLOSE_RELAY_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        await self._kafka.close()
        await self._journal.close()
        await self._relay.close()

    async def _until(self, is_done: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_done() and time.monotonic() < deadline:  # noqa: ASYNC110  # three parties would have to tell
            await asyncio.sleep(_LOOK_S)

    def _is_hopeless(self) -> bool:
        """Says whether Kafka alone would have to take a record, and cannot: it would only lie in its queue."""
        return self._router.way is Way.KAFKA and self._kafka.not_ready() is not None and not self._is_journal_ready()

    # Taking in.

    def _take_in(self, batch: SpooledBatch) -> None:
        ready = self._kafka.not_ready() is None
        if self._router.offer(batch, time.monotonic(), kafka_ready=ready):
            self._send((batch,))
        self._changed()

    def _send(self, batches: Sequence[SpooledBatch]) -> None:
        for batch in batches:
            if self._router.way is not Way.KAFKA:
                break  # Kafka refused one before it, and all of them wait for the journal now
            if not batch.is_sent:
                batch.is_sent = True
                self._kafka.send(batch)
            elif batch.has_failed:  # some of it is no longer in Kafka's queue, so others may be ahead of it by now
                batch.settle_all(NotAcknowledgedError("neither Kafka nor the journal took the record"))
        self._changed()

    def _refused(self) -> bool:
        """Kafka will not have a record: all that it has not confirmed goes into the journal, if that works."""
        is_journal = self._router.leave_kafka(Reason.REFUSED, time.monotonic())
        self._changed()
        return is_journal

    def _changed(self) -> None:
        """Tells of a new way, wakes the writer, and sees to it that slowness is noticed."""
        if self._told is not self._router.last:
            self._told = self._router.last
            self._telemetry.switched(self._told)
            _LOG.info("eventlog.switched", way=self._told.way, reason=self._told.reason)
        if self._router.way is Way.JOURNAL:
            self._work.set()
        due_s = self._router.next_check_s()
        if due_s is not None and due_s < self._check_at_s:
            self._arm(due_s)

    def _arm(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._check_at_s = due_s
        self._timer = self._loop.call_at(due_s, self._check)

    def _check(self) -> None:
        self._timer, self._check_at_s = None, math.inf
        self._kafka.poll()  # a busy loop must not take its own lateness for Kafka's
        self._router.check(time.monotonic())
        self._changed()

    # The journal.

    async def _write(self) -> None:
        while True:
            while not self._pace.allows(time.monotonic()):  # noqa: ASYNC110  # it depends on the time, too
                await asyncio.sleep(_LOOK_S)
            items = self._router.take(_MAX_GROUP)
            if items:
                await self._write_group(items)
            else:
                self._work.clear()
                await self._work.wait()

    async def _write_group(self, items: list[SpooledBatch]) -> None:
        places = [(batch, index) for batch in items for index in batch.unsettled()]
        outcomes = await self._journal.publish_many([batch.records[index] for batch, index in places])
        failures = [outcome for outcome in outcomes if not isinstance(outcome, Durability)]
        if any(isinstance(failure, NotAcknowledgedError) for failure in failures):
            self._not_written(items, failures[0])
            return
        full = next((failure for failure in failures if isinstance(failure, LogFullError)), None)
        self._full = (full, time.monotonic() + _FULL_S) if full else None
        if failures:
            self._router.refused()
        else:
            self._router.written()
            self._pace.written(len(places))
            self._relay.look()
        for (batch, index), outcome in zip(places, outcomes, strict=True):
            batch.settle(index, outcome)

    def _not_written(self, items: list[SpooledBatch], failure: Outcome) -> None:
        """The journal does not work: Kafka alone, if that keeps the order; else whoever waits is told."""
        ready = self._kafka.not_ready() is None
        instead = self._router.not_written(items, time.monotonic(), kafka_ready=ready)
        if not instead:
            for batch in items:
                batch.is_left = batch.is_sent and not batch.has_failed  # Kafka may still confirm it
                if not batch.is_left:
                    batch.settle_all(failure)
        self._send(instead)

    def _is_journal_ready(self) -> bool:
        return self._journal.not_ready() is None
