"""Reads the log and writes the database: each event once in effect, none lost, nothing that stalls."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

import structlog

from eventlog.ports import (
    ConsumeError,
    Consumer,
    Offsets,
    Partition,
    Publisher,
    PublishError,
    Record,
    RecordTooLargeError,
    StoredRecord,
)
from interactions.domain import log_record
from interactions.domain.backoff import delay_s
from interactions.domain.log_record import UnreadableError
from interactions.sink.dead_letter import bare_letter, dead_letter
from interactions.sink.ports import (
    BatchWritten,
    InteractionStore,
    Lag,
    RowsRefusedError,
    Step,
    StoredEvent,
    StoreUnavailableError,
    Telemetry,
)
from interactions.system import System

_LOG = structlog.get_logger(__name__)

# One batch is one transaction.
BATCH_RECORDS: Final = 500
# Also the longest that a stop waits while nothing comes.
_POLL_S: Final = 0.5
_LAG_EVERY_S: Final = 1.0

ResultT = TypeVar("ResultT")


class _StoppedError(Exception):
    """The sink was asked to stop while it waited; what is in hand is read again next time."""


@dataclass(frozen=True, slots=True)
class _Readable:
    """A record with the event that is in it."""

    record: StoredRecord
    stored: StoredEvent


class Sink:
    """Brings one topic into the database.

    Args:
        consumer: Reads the topic.
        dead_letters: Takes what cannot be read or stored.
        store: Where the events go.
        telemetry: Told of every batch.
        system: Time and chance.
    """

    def __init__(
        self,
        consumer: Consumer,
        dead_letters: Publisher,
        store: InteractionStore,
        telemetry: Telemetry,
        system: System,
    ) -> None:
        self._consumer = consumer
        self._dead_letters = dead_letters
        self._store = store
        self._telemetry = telemetry
        self._system = system
        self._stopping = asyncio.Event()
        self._oldest_ms: int | None = None
        self._problem: str | None = "not started"

    def not_ready(self) -> str | None:
        """Says what holds the sink up; None when records flow."""
        return self._problem or self._consumer.not_ready() or self._dead_letters.not_ready()

    def stop(self) -> None:
        """Asks `run` to end after the step in hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Runs until stopped; no error of log or database ends it."""
        lag = asyncio.create_task(self._watch_lag(), name="sink_lag")
        try:
            await self._persist(Step.START, self._begin)
            while not self._stopping.is_set():
                records = await self._persist(Step.POLL, lambda: self._consumer.poll(BATCH_RECORDS, _POLL_S))
                if records:
                    await self._bring_in(records)
        except _StoppedError:
            _LOG.info("sink.stopped_while_waiting", waited_for=self._problem)
        except Exception:
            self._problem = "the sink has failed"
            _LOG.exception("sink.failed")
            raise
        finally:
            lag.cancel()

    async def _begin(self) -> None:
        await self._consumer.start(await self._store.load_offsets())

    async def _bring_in(self, records: Sequence[StoredRecord]) -> None:
        start_s = self._system.monotonic()
        self._oldest_ms = min(record.append_time_ms for record in records)
        readable, dead = _sorted_out(records)
        await self._persist(Step.DEAD_LETTER, lambda: self._bury(dead))
        offsets = _next_offsets(records)
        inserted, refused = await self._write(readable, offsets)
        await self._persist(Step.COMMIT, lambda: self._consumer.commit(offsets))
        age_s = self._age_s()
        self._oldest_ms = None
        elapsed_s = self._system.monotonic() - start_s
        duplicates = len(readable) - inserted - refused
        self._telemetry.batch_written(BatchWritten(inserted, duplicates, len(dead) + refused, elapsed_s, age_s))

    async def _write(self, readable: Sequence[_Readable], offsets: Offsets) -> tuple[int, int]:
        """Writes events and offsets; halves a batch that is refused until the event that is at fault stands alone.

        Returns:
            How many were inserted and how many refused.
        """
        events = [each.stored for each in readable]
        try:
            return await self._persist(Step.WRITE, lambda: self._store.write(events, offsets)), 0
        except RowsRefusedError as error:
            reason = str(error)
        if len(readable) == 1:
            letters = [(readable[0].record, f"the database refuses it: {reason}")]
            await self._persist(Step.DEAD_LETTER, lambda: self._bury(letters))
            return (await self._write([], offsets))[0], 1
        half = len(readable) // 2
        # Without offsets first: after a crash in between, all of it is read again and dropped where it is there.
        first = await self._write(readable[:half], {})
        second = await self._write(readable[half:], offsets)
        return first[0] + second[0], first[1] + second[1]

    async def _bury(self, dead: Sequence[tuple[StoredRecord, str]]) -> None:
        """Publishes the dead records; raises the error of the first that is not durable."""
        letters: list[Record] = [dead_letter(record, reason) for record, reason in dead]
        outcomes = await self._dead_letters.publish_many(letters)
        large = [each for each, outcome in zip(dead, outcomes, strict=True) if isinstance(outcome, RecordTooLargeError)]
        outcomes += await self._dead_letters.publish_many([bare_letter(record, reason) for record, reason in large])
        for outcome in outcomes:
            if isinstance(outcome, PublishError) and not isinstance(outcome, RecordTooLargeError):
                raise outcome
        for record, reason in dead:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            _LOG.warning("sink.dead_lettered", reason=reason, **place)

    async def _persist(self, step: Step, work: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Does the work, again and again while log or database are not to be had."""
        attempt = 0
        while True:
            try:
                result = await work()
            except (ConsumeError, PublishError, StoreUnavailableError) as error:
                attempt += 1
                self._problem = f"{step}: {error}"
                self._telemetry.step_failed(step)
                _LOG.warning("sink.step_failed", step=step, attempt=attempt, error=str(error))
                await self._pause(delay_s(attempt, self._system.jitter()))
            else:
                self._problem = None
                return result

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise _StoppedError

    async def _watch_lag(self) -> None:
        while True:
            self._telemetry.lag_measured(Lag(await self._consumer.lag(), self._age_s()))
            await asyncio.sleep(_LAG_EVERY_S)

    def _age_s(self) -> float:
        if self._oldest_ms is None:
            return 0.0
        return max(0.0, self._system.now().timestamp() - self._oldest_ms / 1000)


def _sorted_out(records: Sequence[StoredRecord]) -> tuple[list[_Readable], list[tuple[StoredRecord, str]]]:
    """Returns the readable records, and the others with the reason."""
    readable, dead = [], []
    for record in records:
        try:
            readable.append(_read(record))
        except UnreadableError as error:
            dead.append((record, str(error)))
    return readable, dead


def _read(record: StoredRecord) -> _Readable:
    if not record.intact:
        raise UnreadableError("its bytes are not those that were written: the checksum differs")
    taken = datetime.fromtimestamp(record.append_time_ms / 1000, UTC)
    return _Readable(record, StoredEvent(log_record.decode(record.value), taken))


def _next_offsets(records: Sequence[StoredRecord]) -> dict[Partition, int]:
    return {Partition(record.topic, record.partition): record.offset + 1 for record in records}
