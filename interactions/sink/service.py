"""Reads the log and writes the database: each event once in effect, none lost, nothing that stalls."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic

import structlog

from eventlog.ports import Consumer, Offsets, Publisher, PublishError, RecordTooLargeError
from interactions.sink.batch import Batch, ItemT, Read, Readable, read_all
from interactions.sink.dead_letter import Dead, bare_letter, dead_letter
from interactions.sink.patience import Patience, StoppedError
from interactions.sink.ports import BatchWritten, Fault, Lag, RowsRefusedError, Step, Store, Telemetry, Written
from interactions.system import System

_LOG = structlog.get_logger(__name__)

# So many in one read may be a backlog.
_MANY_RECORDS: Final = 500
# Also the longest that a stop waits while nothing comes.
_POLL_S: Final = 0.5
_LAG_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How records are collected.

    Args:
        batch_records: Most records of a transaction; only a backlog fills one.
        linger_s: Time from one read to the next where little comes, in seconds: a transaction costs some milliseconds,
            whatever it holds.
    """

    batch_records: int = 10_000
    linger_s: float = 0.1


class Sink(Generic[ItemT]):
    """Brings its share of one topic into the database.

    Args:
        consumer: Reads the topic.
        dead_letters: Takes what cannot be read or stored.
        read: Reads a record.
        store: Where the items go that are in the records.
        telemetry: Told of every batch.
        system: Time and chance.
        policy: How records are collected.
    """

    def __init__(  # each by its name
        self,
        consumer: Consumer,
        dead_letters: Publisher,
        read: Read[ItemT],
        store: Store[ItemT],
        telemetry: Telemetry,
        system: System,
        policy: BatchPolicy = BatchPolicy(),  # it cannot change
    ) -> None:
        self._consumer = consumer
        self._dead_letters = dead_letters
        self._read = read
        self._store = store
        self._telemetry = telemetry
        self._system = system
        self._policy = policy
        self._next_read_s = 0.0
        self._patience = Patience(telemetry, system)
        # Read and not written, oldest first: one that is being written, and one behind it.
        self._in_hand: list[Batch[ItemT]] = []
        # Since when there are records that are not written and not in hand, while none was written.
        self._behind_since_s: float | None = None
        self._failure: str | None = "not started"

    def not_ready(self) -> str | None:
        """Says what holds the sink up; None when records flow."""
        return self._failure or self._patience.problem or self._consumer.not_ready() or self._dead_letters.not_ready()

    def stop(self) -> None:
        """Asks `run` to end after the step in hand."""
        self._patience.stop()

    async def run(self) -> None:
        """Runs until stopped; no error of log or database ends it."""
        lag = asyncio.create_task(self._watch_lag(), name="sink_lag")
        try:
            await self._consumer.start(self._store.load_offsets)
            self._failure = None
            await self._read_and_write()
        except StoppedError:
            _LOG.info("sink.stopped_while_waiting", waited_for=self._patience.problem)
        except Exception:
            self._failure = "the sink has failed"
            _LOG.exception("sink.failed")
            raise
        finally:
            lag.cancel()

    async def _read_and_write(self) -> None:
        """Reads the next records while the last ones are written: to parse them takes as long as to write them."""
        writing: asyncio.Task[None] | None = None
        try:
            while not self._patience.is_stopping:
                found = await self._next()
                if writing and (found or writing.done()):
                    await writing
                    writing = None
                if found:
                    writing = asyncio.create_task(self._bring_in(found), name="sink_write")
            if writing:
                await writing
        finally:
            if writing:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def _next(self) -> Batch[ItemT] | None:
        await self._patience.wait(self._next_read_s - self._system.monotonic())
        if self._patience.is_stopping:
            return None
        most = self._policy.batch_records
        records = await self._patience.persist(Step.POLL, lambda: self._consumer.poll(most, _POLL_S))
        if not records:
            return None
        is_little = len(records) < min(_MANY_RECORDS, most)
        self._next_read_s = self._system.monotonic() + (self._policy.linger_s if is_little else 0.0)
        found = await read_all(records, self._read)
        self._in_hand.append(found)
        return found

    async def _bring_in(self, found: Batch[ItemT]) -> None:
        start_s = self._system.monotonic()
        await self._patience.persist(Step.DEAD_LETTER, lambda: self._bury(found.dead))
        written, refused = await self._write(found.readable, found.offsets)
        age_s = self._age_s(found.oldest_ms)
        self._in_hand.remove(found)
        self._behind_since_s = None
        await self._patience.persist(Step.COMMIT, lambda: self._consumer.commit(found.offsets))
        dead = Counter(each.fault for each in found.dead) + Counter({Fault.REFUSED: refused})
        duplicates = len(found.readable) - written.inserted - written.dropped - refused
        elapsed_s = self._system.monotonic() - start_s
        self._telemetry.batch_written(BatchWritten(written, duplicates, dead, elapsed_s, age_s))

    async def _write(self, readable: Sequence[Readable[ItemT]], offsets: Offsets) -> tuple[Written, int]:
        """Writes items and offsets; halves a batch that is refused until the item that is at fault stands alone.

        Returns:
            What became of them, and how many were refused.
        """
        items = [each.item for each in readable]
        try:
            return await self._patience.persist(Step.WRITE, lambda: self._store.write(items, offsets)), 0
        except RowsRefusedError as error:
            reason = f"the database refuses it: {error}"
        if len(readable) == 1:
            dead = [Dead(readable[0].record, Fault.REFUSED, reason)]
            await self._patience.persist(Step.DEAD_LETTER, lambda: self._bury(dead))
            return (await self._write([], offsets))[0], 1
        half = len(readable) // 2
        # Without offsets first: after a crash in between, all of it is read again and dropped where it is there.
        first = await self._write(readable[:half], {})
        second = await self._write(readable[half:], offsets)
        return first[0] + second[0], first[1] + second[1]

    async def _bury(self, dead: Sequence[Dead]) -> None:
        """Publishes the dead records; raises the error of the first that is not durable."""
        outcomes = await self._dead_letters.publish_many([dead_letter(each) for each in dead])
        large = [each for each, outcome in zip(dead, outcomes, strict=True) if isinstance(outcome, RecordTooLargeError)]
        outcomes += await self._dead_letters.publish_many([bare_letter(each) for each in large])
        for outcome in outcomes:
            if isinstance(outcome, PublishError) and not isinstance(outcome, RecordTooLargeError):
                raise outcome
        for record, fault, reason in dead:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            _LOG.warning("sink.dead_lettered", fault=fault, reason=reason, **place)

    async def _watch_lag(self) -> None:
        while True:
            records = await self._consumer.lag()
            self._telemetry.lag_measured(Lag(records, self._lag_s(records)))
            await asyncio.sleep(_LAG_EVERY_S)

    def _lag_s(self, records: int | None) -> float | None:
        """Returns the age of the oldest record that is not written, in seconds; None when unknown."""
        if self._in_hand:
            return self._age_s(min(each.oldest_ms for each in self._in_hand))
        if records is None:
            return None
        # None is in hand: those that are not written have just come, or cannot be read.
        now_s = self._system.monotonic()
        self._behind_since_s = (self._behind_since_s or now_s) if records else None
        return now_s - (self._behind_since_s or now_s)

    def _age_s(self, time_ms: int) -> float:
        return max(0.0, self._system.now().timestamp() - time_ms / 1000)
