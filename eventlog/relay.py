"""Brings what is in the journal to Kafka, in order."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from eventlog.batch import Batch, SpooledBatch
from eventlog.domain.pace import Pace
from eventlog.domain.router import Router
from eventlog.ports import Durability, EventLogError, Record, StoredRecord
from eventlog.telemetry import JournalMeasured, Telemetry

_LOG = structlog.get_logger(__name__)

# What is under way at a time, of the producer's queue of 20,000 records and 32 MB; and as much is read ahead.
WINDOW_RECORDS: Final = 4_000
_WINDOW_BYTES: Final = 8_000_000
_FIRST_RECORDS: Final = 200
_OVERHEAD_BYTES: Final = 200
# Records a second, six times the usual rate: each costs 16 to 24 µs that callers of the same process wait for.
MAX_RATE: Final = 12_000
# Records given to the producer before callers have their turn again: about a millisecond.
_CHUNK_RECORDS: Final = 250
# How often to look without being told, to measure, and to note how far Kafka got.
_LOOK_S: Final = 0.2
_MEASURE_S: Final = 1.0
# After a failure; librdkafka by itself goes on trying, so this is one it gave up on.
_RETRY_S: Final = 0.5
_UNTIL_READY_S: Final = 0.02

# The next offset to read, by topic.
Positions = dict[str, int]


class Backlog(Protocol):
    """The journal as the relay knows it; every method raises EventLogError when it cannot be had."""

    async def positions(self) -> Positions:
        """Returns how far the relay had got, for each topic."""

    async def read(self, positions: Mapping[str, int], max_records: int) -> list[StoredRecord]:
        """Returns the next records from there on, each topic in order; fewer than asked for only at the end."""

    async def note(self, positions: Mapping[str, int]) -> None:
        """Keeps how far the relay got; what lies before is not needed any more."""

    async def measure(self, positions: Mapping[str, int]) -> JournalMeasured:
        """Returns how much there is from there on."""

    async def close(self) -> None:
        """Closes it."""


class Sender(Protocol):
    """The Kafka publisher as the relay knows it."""

    def send(self, batch: Batch) -> None:
        """Queues what of a batch has no outcome yet."""

    def not_ready(self) -> str | None:
        """Says why Kafka cannot be used."""


class Relay:
    """Reads the journal, sends it, and goes on once Kafka has confirmed it.

    Args:
        backlog: The journal.
        kafka: The producer that new records use too.
        router: Told of what was confirmed.
        pace: Told of it, too.
        send: Takes what the router gives to Kafka, and looks whether the way changed.
        is_writable: Whether the journal takes records now.
        telemetry: Told of progress.
    """

    def __init__(
        self,
        backlog: Backlog,
        kafka: Sender,
        router: Router[SpooledBatch],
        pace: Pace,
        send: Callable[[Sequence[SpooledBatch]], None],
        is_writable: Callable[[], bool],
        telemetry: Telemetry,
    ) -> None:
        self._backlog = backlog
        self._kafka = kafka
        self._router = router
        self._pace = pace
        self._send = send
        self._is_writable = is_writable
        self._telemetry = telemetry
        self._grown = asyncio.Event()
        self._positions: Positions = {}
        self._noted: Positions = {}
        self._limit = _FIRST_RECORDS
        self._is_behind = False

    def look(self) -> None:
        """Tells it that the journal has grown."""
        self._grown.set()

    async def run(self) -> None:
        """Runs until cancelled; no failure of journal or Kafka ends it."""
        while True:
            try:
                if not self._positions:
                    self._positions = self._noted = await self._backlog.positions()
                await self._step()
            except EventLogError as error:
                _LOG.error("eventlog.journal_unreadable", error=str(error))
                self._telemetry.journal_failed()
                writable, ready = self._is_writable(), self._is_kafka_ready()
                self._send(self._router.unreachable(time.monotonic(), writable=writable, kafka_ready=ready))
                await asyncio.sleep(_RETRY_S)

    async def watch(self) -> None:
        """Notes how far Kafka got and measures what is left, until cancelled; also while Kafka says nothing."""
        while True:
            await asyncio.sleep(_MEASURE_S)
            try:
                await self._note()
                self._telemetry.journal_measured(await self._backlog.measure(self._positions))
            except EventLogError as error:  # such as a full disk, which the relay is to empty all the same
                _LOG.warning("eventlog.journal_not_measured", error=str(error))
                self._telemetry.journal_failed()

    async def close(self) -> None:
        """Notes how far it got, and closes the journal; called once `run` and `watch` have ended."""
        try:
            await self._note()
        except EventLogError as error:
            _LOG.warning("eventlog.position_not_noted", error=str(error))
        await self._backlog.close()

    async def _step(self) -> None:
        """Brings all there is; then, when nothing came meanwhile, says so and waits."""
        self._grown.clear()
        mark = self._router.mark()
        records = await self._read(self._positions)
        while records:
            await self._until_ready()
            mark = self._router.mark()
            records = await self._bring(records)
        self._send(self._router.drained(mark, time.monotonic(), kafka_ready=self._is_kafka_ready()))
        await self._pause()

    async def _bring(self, records: Sequence[StoredRecord]) -> list[StoredRecord]:
        """Sends a window and reads the next meanwhile; returns that, or none after a failure."""
        start_s = time.monotonic()
        positions = self._after(records)
        ahead = asyncio.ensure_future(self._read(positions))
        try:
            failed = await self._confirmed([each for each in records if each.intact])
        except BaseException:
            ahead.cancel()
            raise
        following = await ahead
        if failed is None:
            self._positions = positions
            now_s = time.monotonic()
            left = WINDOW_RECORDS if self._is_behind else len(following)
            self._router.confirmed(len(records), left, now_s - start_s, now_s)
            self._pace.confirmed(len(records), now_s, is_behind=self._is_behind)
            self._send(())
            if self._is_behind:
                await asyncio.sleep(len(records) / MAX_RATE - (now_s - start_s))
            return following
        self._positions = self._before(failed, records)
        await asyncio.sleep(_RETRY_S)
        return await self._read(self._positions)

    async def _read(self, positions: Positions) -> list[StoredRecord]:
        """Reads a window; its size follows from that of the records in the last one."""
        limit = self._limit
        found = await self._backlog.read(positions, limit)
        self._is_behind = len(found) == limit
        if found:
            mean_bytes = sum(len(each.value) for each in found) / len(found) + _OVERHEAD_BYTES
            self._limit = min(WINDOW_RECORDS, int(_WINDOW_BYTES / mean_bytes))
        return found

    async def _confirmed(self, records: Sequence[StoredRecord]) -> int | None:
        """Sends records and waits for their reports; returns the place of the first that failed."""
        batches: list[Batch] = []
        for first in range(0, len(records), _CHUNK_RECORDS):
            batches.append(Batch([_record(each) for each in records[first : first + _CHUNK_RECORDS]]))
            self._kafka.send(batches[-1])
            await asyncio.sleep(0)
            if any(batch.has_failed for batch in batches):
                break  # what follows must not come before it
        outcomes = [outcome for batch in batches for outcome in await batch.outcomes()]
        done = next((n for n, outcome in enumerate(outcomes) if outcome is not Durability.KAFKA), len(outcomes))
        self._telemetry.relayed(done)
        if done == len(records):
            return None
        if done < len(outcomes):
            _LOG.warning("eventlog.relay_failed", error=str(outcomes[done]), relayed=done, window=len(records))
        return done

    def _after(self, records: Sequence[StoredRecord]) -> Positions:
        return {**self._positions, **{each.topic: each.offset + 1 for each in records}}

    def _before(self, failed: int, records: Sequence[StoredRecord]) -> Positions:
        """Returns the positions with the first failed record next."""
        return self._after([each for each in records if each.intact][:failed])

    async def _until_ready(self) -> None:
        while not self._is_kafka_ready():  # noqa: ASYNC110  # it is a thread that finds out
            await asyncio.sleep(_UNTIL_READY_S)

    async def _note(self) -> None:
        positions = self._positions
        if positions != self._noted:
            await self._backlog.note(positions)
            self._noted = positions

    def _is_kafka_ready(self) -> bool:
        return self._kafka.not_ready() is None

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._grown.wait()
        except TimeoutError:
            return


def _record(stored: StoredRecord) -> Record:
    return Record(stored.topic, stored.key, stored.value, stored.headers, stored.append_time_ms)
