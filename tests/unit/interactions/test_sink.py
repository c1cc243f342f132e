"""The sink on a log and a store in memory: once in effect, nothing lost, nothing that stalls."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from eventlog.fake import MemoryConsumer, MemoryLog, MemoryPublisher
from eventlog.ports import (
    MAX_RECORD_BYTES,
    ConsumeError,
    NotAcknowledgedError,
    Offsets,
    Partition,
    Record,
    StoredRecord,
)
from eventlog.topics import INTERACTIONS, INTERACTIONS_DLQ
from interactions.domain import log_record
from interactions.domain.event import InteractionEvent, InteractionType
from interactions.sink.app import instance_id_of
from interactions.sink.fake import MemoryStore
from interactions.sink.metrics import SinkMetrics
from interactions.sink.ports import BatchWritten, Fault, Lag, Step, StoredEvent, Written
from interactions.sink.reading import read_event
from interactions.sink.service import BatchPolicy, Sink
from interactions.system import System
from tests.polling import until

ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
EVENT = InteractionEvent("u1", "v1", InteractionType.LIKE, 0.0, datetime(2025, 9, 1, tzinfo=UTC), ID)
# What comes is written as it comes.
AT_ONCE = BatchPolicy(linger_s=0)


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[BatchWritten] = []
        self.lags: list[Lag] = []
        self.failed: list[Step] = []

    def batch_written(self, record: BatchWritten) -> None:
        self.batches.append(record)

    def lag_measured(self, lag: Lag) -> None:
        self.lags.append(lag)

    def step_failed(self, step: Step) -> None:
        self.failed.append(step)


class Bench:
    """A log, a store, and what the sink tells."""

    def __init__(self, refused: frozenset[str] = frozenset()) -> None:
        self.log = MemoryLog()
        self.store: MemoryStore[StoredEvent] = MemoryStore(refused)
        self.consumer: MemoryConsumer = self.log.consumer(INTERACTIONS)
        self.dead_letters: MemoryPublisher = self.log.publisher()
        self.told = Told()
        self.now = datetime.now(UTC)
        self.monotonic_s = 1.0

    def put(self, *values: bytes) -> None:
        for value in values:
            self.log.append(Record(INTERACTIONS, "u1", value, (("traceparent", b"x"),)))

    @asynccontextmanager
    async def running(self, policy: BatchPolicy = AT_ONCE) -> AsyncIterator[Sink[StoredEvent]]:
        # No jitter and a clock that stands still: only the order of things is at stake.
        system = System(now=lambda: self.now, monotonic=lambda: self.monotonic_s, jitter=lambda: 0.9)
        sink = Sink(self.consumer, self.dead_letters, read_event, self.store, self.told, system, policy)
        task = asyncio.create_task(sink.run())
        try:
            with capture_logs():
                yield sink
        finally:
            sink.stop()
            async with asyncio.timeout(5):
                await task

    async def offset(self) -> int:
        return self.store.offsets.get(Partition(INTERACTIONS, 0), 0)


def events(count: int) -> list[InteractionEvent]:
    return [replace(EVENT, event_id=f"{number:08x}{ID[8:]}") for number in range(count)]


def values(count: int) -> list[bytes]:
    return [log_record.encode(event) for event in events(count)]


def total_dead(bench: Bench) -> dict[Fault, int]:
    return dict(sum((Counter(each.dead_lettered) for each in bench.told.batches), Counter[Fault]()))


async def eventually(question: Callable[[], bool]) -> None:
    async def answer() -> bool:
        return question()

    await until(answer, expected=True)


async def test_every_event_is_stored_once_with_its_offset() -> None:
    bench = Bench()
    bench.put(*values(1200), *values(10))

    async with bench.running() as sink:
        await until(bench.offset, 1210)
        await eventually(lambda: sink.not_ready() is None)

    assert list(bench.store.events) == [event.event_id for event in events(1200)]
    assert sum(each.written.inserted for each in bench.told.batches) == 1200
    assert sum(each.duplicates for each in bench.told.batches) == 10
    assert bench.consumer.committed == 1210


async def test_where_little_comes_it_waits_for_more() -> None:
    bench = Bench()
    bench.put(*values(1))
    async with bench.running(BatchPolicy(linger_s=60)):
        await until(bench.offset, 1)
        bench.put(*values(3)[1:])
        for _ in range(1000):
            await asyncio.sleep(0)
        assert await bench.offset() == 1
    async with bench.running():
        await until(bench.offset, 3)
    assert [each.written.inserted for each in bench.told.batches] == [1, 2]


async def test_a_backlog_waits_for_nothing() -> None:
    bench = Bench()
    bench.put(*values(50))
    async with bench.running(BatchPolicy(batch_records=10, linger_s=60)):
        await until(bench.offset, 50)
    assert [each.written.inserted for each in bench.told.batches] == [10] * 5


async def test_it_goes_on_where_the_last_transaction_left_off() -> None:
    bench = Bench()
    bench.put(*values(10))
    bench.store.offsets[Partition(INTERACTIONS, 0)] = 7

    async with bench.running():
        await until(bench.offset, 10)

    assert len(bench.store.events) == 3


async def test_it_asks_where_to_go_on_whenever_a_partition_comes_back() -> None:
    """Another sink had it meanwhile and wrote some of it: what that one wrote is not read again."""
    bench = Bench()
    bench.put(*values(3))
    async with bench.running():
        await until(bench.offset, 3)
        bench.consumer.reassign()
        bench.store.offsets[Partition(INTERACTIONS, 0)] = 9
        bench.put(*values(12)[3:])
        await until(bench.offset, 12)

    assert list(bench.store.events) == [events(12)[place].event_id for place in (0, 1, 2, 9, 10, 11)]


async def test_while_the_database_is_down_the_lag_is_the_age_of_the_oldest_record_in_hand() -> None:
    bench = Bench()
    async with bench.running() as sink:
        await eventually(lambda: sink.not_ready() is None)
        bench.store.down = True
        bench.put(*values(2))
        await eventually(lambda: bench.told.failed.count(Step.WRITE) >= 1)
        (oldest, _) = bench.log.records(INTERACTIONS)
        bench.now = datetime.fromtimestamp(oldest.append_time_ms / 1000, UTC) + timedelta(seconds=40)
        bench.put(*values(5)[2:])

        await eventually(lambda: bench.told.lags[-1].records == 5 and bench.told.lags[-1].seconds == pytest.approx(40))

        bench.store.down = False
        await eventually(lambda: bench.told.lags[-1] == Lag(0, 0.0))


async def test_records_that_cannot_be_polled_grow_old_too() -> None:
    bench = Bench()

    class Silent(MemoryConsumer):
        async def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
            del max_records, timeout_s
            await super().poll(0, 0)
            raise ConsumeError

    bench.consumer = Silent(bench.log, INTERACTIONS)
    bench.put(*values(2))
    async with bench.running():
        await eventually(lambda: bench.told.lags[-1:] == [Lag(2, 0.0)])
        bench.monotonic_s += 30
        await eventually(lambda: bench.told.lags[-1] == Lag(2, 30.0))


async def test_unreadable_records_are_put_aside_as_found() -> None:
    bench = Bench()
    bench.put(values(3)[0], b"\xff not json", values(3)[1])
    bench.log.append(Record(INTERACTIONS, "odd\udcff", b"", ()))
    bench.put(values(3)[2])

    async with bench.running():
        await until(bench.offset, 5)

    assert len(bench.store.events) == 3
    letters = bench.log.records(INTERACTIONS_DLQ)
    assert [(each.key, each.value) for each in letters] == [("u1", b"\xff not json"), ("odd\udcff", b"")]
    headers = dict(letters[0].headers)
    assert list(headers) == ["traceparent", "fault", "reason", "topic", "partition", "offset"]
    assert headers["fault"] == b"unreadable"
    assert total_dead(bench) == {Fault.UNREADABLE: 2}
    assert (headers["topic"], headers["partition"], headers["offset"]) == (INTERACTIONS.encode(), b"0", b"1")
    assert b"malformed" in headers["reason"]


async def test_a_record_too_large_to_keep_leaves_a_letter_that_says_so() -> None:
    bench = Bench()
    bench.put(b"x" * (MAX_RECORD_BYTES * 2))

    async with bench.running():
        await until(bench.offset, 1)

    (letter,) = bench.log.records(INTERACTIONS_DLQ)
    assert letter.value == b""
    assert dict(letter.headers)["left-out-bytes"] == str(MAX_RECORD_BYTES * 2).encode()


async def test_nothing_is_lost_while_the_database_is_down() -> None:
    bench = Bench()
    async with bench.running() as sink:
        await eventually(lambda: sink.not_ready() is None)
        bench.store.down = True
        bench.put(*values(5))

        await eventually(lambda: bench.told.failed.count(Step.WRITE) >= 3)
        assert sink.not_ready() == "write: told to fail"
        assert bench.consumer.committed == 0
        await eventually(lambda: bench.told.lags[-1].records == 5)

        bench.store.down = False
        await until(bench.offset, 5)
        await eventually(lambda: sink.not_ready() is None)

    assert len(bench.store.events) == 5


async def test_it_starts_while_the_database_is_down() -> None:
    bench = Bench()
    bench.store.down = True
    bench.put(*values(1))
    async with bench.running() as sink:
        await eventually(lambda: sink.not_ready() == "poll: told to fail")
        await eventually(lambda: bench.told.lags[-1] == Lag(None, None))
        bench.store.down = False
        await until(bench.offset, 1)


async def test_it_waits_for_the_dead_letter_topic() -> None:
    """A poison record passed over without a letter would be lost."""
    bench = Bench()
    bench.dead_letters.failures.extend([NotAcknowledgedError("down")] * 2)
    bench.put(b"poison", values(1)[0])

    async with bench.running():
        await until(bench.offset, 2)

    assert len(bench.log.records(INTERACTIONS_DLQ)) == 1
    assert bench.told.failed == [Step.DEAD_LETTER] * 2


async def test_it_reads_on_after_the_log_was_down() -> None:
    bench = Bench()
    bench.consumer.failing = True
    bench.put(*values(2))
    async with bench.running() as sink:
        await eventually(lambda: sink.not_ready() == "poll: told to fail")
        assert bench.told.lags[-1].records is None
        bench.consumer.failing = False
        await until(bench.offset, 2)


@pytest.mark.parametrize("places", [[0], [6], [12], [3, 4, 11], list(range(13))], ids=str)
async def test_events_that_the_database_refuses_are_put_aside_alone(places: list[int]) -> None:
    bench = Bench(frozenset(events(13)[place].event_id for place in places))
    bench.put(*values(13))

    async with bench.running():
        await until(bench.offset, 13)

    assert len(bench.store.events) == 13 - len(places)
    letters = bench.log.records(INTERACTIONS_DLQ)
    assert [each.value for each in letters] == [values(13)[place] for place in places]
    assert total_dead(bench) == {Fault.REFUSED: len(places)}
    assert {dict(each.headers)["fault"] for each in letters} == {b"refused"}


async def test_offsets_are_written_only_once_everything_before_them_is() -> None:
    """Else a crash between the halves of a refused batch would lose the rest of it."""
    bench = Bench()
    written: list[tuple[int, bool]] = []

    class NotingStore(MemoryStore[StoredEvent]):
        async def write(self, events: Sequence[StoredEvent], offsets: Offsets) -> Written:
            count = await super().write(events, offsets)
            written.append((len(self.events), bool(offsets)))
            return count

    bench.store = NotingStore(frozenset([events(8)[5].event_id]))
    bench.put(*values(8))
    async with bench.running():
        await until(bench.offset, 8)

    assert [stored for stored, with_offsets in written if with_offsets] == [7]
    assert len(bench.log.records(INTERACTIONS_DLQ)) == 1


async def test_a_record_with_flipped_bytes_is_put_aside() -> None:
    """It may still look like an event, of another user."""
    bench = Bench()
    bench.put(*values(2))
    bench.log._topics[INTERACTIONS][0] = bench.log.records(INTERACTIONS)[0]._replace(intact=False)

    async with bench.running():
        await until(bench.offset, 2)

    assert list(bench.store.events) == [events(2)[1].event_id]
    (letter,) = bench.log.records(INTERACTIONS_DLQ)
    assert b"checksum" in dict(letter.headers)["reason"]
    assert total_dead(bench) == {Fault.DAMAGED: 1}


async def test_stopping_while_the_database_is_down_ends_at_once() -> None:
    bench = Bench()
    bench.put(*values(1))
    async with bench.running() as sink:
        await eventually(lambda: sink.not_ready() is None)
        bench.store.down = True
        bench.put(*values(2))
        await eventually(lambda: bench.told.failed.count(Step.WRITE) > 0)


def test_a_sink_is_known_again_by_its_host_and_port() -> None:
    assert instance_id_of("pod-7", 8083) == "pod-7-8083"
    assert instance_id_of("pod-7", 0) == ""


def test_metrics_tell_whose_fault_and_what_nobody_knows() -> None:
    registry = CollectorRegistry()
    metrics = SinkMetrics(registry).of(INTERACTIONS)

    metrics.batch_written(BatchWritten(Written(5, 1), 2, {Fault.REFUSED: 1, Fault.UNREADABLE: 3}, 0.1, 0.2))
    metrics.lag_measured(Lag(None, None))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"topic": INTERACTIONS, **labels})

    assert value("feed_sink_records_total", result="dead_lettered") == 4
    assert [value("feed_sink_dead_letters_total", fault=fault) for fault in Fault] == [3, 0, 1]
    assert math.isnan(value("feed_sink_lag_seconds") or 0)
    assert math.isnan(value("feed_sink_lag_records") or 0)
    metrics.lag_measured(Lag(7, 1.5))
    assert (value("feed_sink_lag_records"), value("feed_sink_lag_seconds")) == (7, 1.5)


async def test_the_next_records_are_read_while_the_last_ones_are_written() -> None:
    """Half of the speed (P10); yet one batch is never written before the one in front of it."""
    bench = Bench()
    gate = asyncio.Event()
    order: list[int] = []

    class SlowStore(MemoryStore[StoredEvent]):
        async def write(self, events: Sequence[StoredEvent], offsets: Offsets) -> Written:
            await gate.wait()
            order.extend(offsets.values())
            return await super().write(events, offsets)

    bench.store = SlowStore()
    bench.put(*values(2))
    async with bench.running() as sink:
        await eventually(lambda: len(sink._in_hand) == 1)
        bench.put(*values(5)[2:])
        await eventually(lambda: len(sink._in_hand) == 2)
        assert order == []
        gate.set()
        await until(bench.offset, 5)

    assert order == [2, 5]
    assert list(bench.store.events) == [event.event_id for event in events(5)]
