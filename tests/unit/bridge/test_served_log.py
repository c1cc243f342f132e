"""The records of served pages go to the log behind the pages: bounded, tried again, never in the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.served_record import ServedRecord, encode
from bridge.fakes import FakeClock
from bridge.served import HEADERS, Drop, ServedLog
from bridge.served_metrics import ServedMetrics
from eventlog.fake import MemoryLog, MemoryPublisher
from eventlog.ports import (
    MAX_RECORD_BYTES,
    LogFullError,
    NotAcknowledgedError,
    Outcome,
    Record,
    RecordTooLargeError,
    StoredRecord,
)
from eventlog.topics import SERVED
from tests.polling import until


def page(number: int, **fields: Any) -> ServedRecord:
    return ServedRecord(
        **{
            "recommendation_id": f"r{number}",
            "user_id": f"u{number % 3}",
            "feed_session_id": "s1",
            "timestamp": "2025-09-01T12:34:56.789Z",
            "algorithm": "lightfm-warp",
            "source": Source.LIGHTFM,
            "fallback_reason": FallbackReason.NONE,
            "model_version": "m1",
            "rung": "",
            "continued": False,
            "experiments": (),
            "first_position": 1,
            "video_ids": ("v1", "v2"),
            "scores": (2.0, 1.0),
            "attempts": 1,
            "elapsed_ms": 1.0,
            **fields,
        }
    )


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.taken = 0
        self.lost: Counter[Drop] = Counter()

    def published(self, count: int) -> None:
        self.taken += count

    def dropped(self, count: int, why: Drop) -> None:
        self.lost[why] += count


class Bench:
    """A log in memory and what is told."""

    def __init__(self, publisher: Callable[[MemoryLog], MemoryPublisher] = MemoryPublisher, records: int = 100) -> None:
        self.log = MemoryLog()
        self.publisher = publisher(self.log)
        self.told = Told()
        self.clock = FakeClock()
        self.served = ServedLog(self.publisher, self.clock, self.told, max_records=records)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ServedLog]:
        await self.served.start()
        try:
            yield self.served
        finally:
            async with asyncio.timeout(5):
                await self.served.stop()

    def records(self) -> list[StoredRecord]:
        return self.log.records(SERVED)


async def eventually(question: Callable[[], bool]) -> None:
    async def answer() -> bool:
        return question()

    await until(answer, expected=True)


async def test_a_page_becomes_one_record_of_its_user() -> None:
    bench = Bench()
    async with bench.running() as served:
        for number in range(40):
            served.take(page(number))
        await eventually(lambda: bench.told.taken == 40)

    assert [(each.key, each.value, each.headers) for each in bench.records()] == [
        (f"u{number % 3}", encode(page(number), MAX_RECORD_BYTES), HEADERS) for number in range(40)
    ]
    assert HEADERS == (("contract-version", b"v2025.9"), ("content-type", b"application/json"))
    assert bench.told.lost == {}


async def test_a_page_that_was_taken_before_the_end_is_published() -> None:
    bench = Bench(records=2_000)
    async with bench.running() as served:
        for number in range(1_200):
            served.take(page(number))

    assert len(bench.records()) == 1_200
    assert served.count == 0


async def test_what_the_log_did_not_take_comes_again_in_its_order() -> None:
    bench = Bench()
    bench.publisher.failures.extend([NotAcknowledgedError("down"), LogFullError("full")])
    async with bench.running() as served:
        for number in range(3):
            served.take(page(number))
        await eventually(lambda: bench.told.taken == 3)

    assert [b'"r%d"' % number in each.value for number, each in zip((2, 0, 1), bench.records(), strict=True)] == [
        True
    ] * 3
    assert bench.told.lost == {}


class Shut(MemoryPublisher):
    """Takes nothing, and does not answer until it is opened."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.asked = asyncio.Event()
        self.open = asyncio.Event()

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        self.asked.set()
        await self.open.wait()
        return await super().publish_many(records)


async def test_a_log_that_hangs_costs_a_bounded_number_of_records_and_no_time() -> None:
    bench = Bench(Shut, records=10)
    assert isinstance(bench.publisher, Shut)
    with capture_logs() as logs:
        async with bench.running() as served:
            served.take(page(0))
            await bench.publisher.asked.wait()
            for number in range(1, 15):
                served.take(page(number))  # not awaited: nothing to wait for
            assert served.count == 10
            assert bench.told.lost == {Drop.QUEUE_FULL: 5}
            bench.publisher.open.set()
            await eventually(lambda: bench.told.taken == 10)

    lines = [each for each in logs if each["event"] == "bridge.served_dropped"]
    assert [(each["count"], each["why"], each["suppressed"]) for each in lines] == [(1, "queue_full", 0)]


async def test_a_log_that_hangs_for_good_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.served._FLUSH_S", 0.05)
    bench = Bench(Shut)
    with capture_logs():
        async with bench.running() as served:
            for number in range(7):
                served.take(page(number))

    assert bench.told.lost == {Drop.STOPPED: 7}


async def test_a_record_that_no_log_takes_is_dropped_and_counted() -> None:
    bench = Bench()
    bench.publisher.failures.append(RecordTooLargeError("told to"))
    with capture_logs():
        async with bench.running() as served:
            served.take(page(0))
            served.take(page(1, removed={"seen": object()}))
            served.take(page(2))
            await eventually(lambda: bench.told.taken == 1)

    assert bench.told.lost == {Drop.TOO_LARGE: 1, Drop.UNWRITABLE: 1}
    assert b'"r2"' in bench.records()[0].value


async def test_a_fault_of_the_log_does_not_end_it() -> None:
    class Faulty(MemoryPublisher):
        faults = 2

        async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
            if self.faults:
                self.faults -= 1
                raise ZeroDivisionError
            return await super().publish_many(records)

    bench = Bench(Faulty)
    with capture_logs():
        async with bench.running() as served:
            served.take(page(0))
            await eventually(lambda: bench.told.taken == 1)

    assert len(bench.records()) == 1


async def test_one_that_never_started_ends_at_once() -> None:
    await Bench().served.stop()


def test_metrics_tell_why_records_were_lost() -> None:
    registry = CollectorRegistry()
    metrics = ServedMetrics(registry)
    metrics.watch(lambda: 7)

    metrics.published(3)
    metrics.dropped(2, Drop.QUEUE_FULL)

    assert registry.get_sample_value("feed_bridge_served_published_total") == 3
    assert registry.get_sample_value("feed_bridge_served_waiting") == 7
    lost = [registry.get_sample_value("feed_bridge_served_dropped_total", {"why": why}) for why in Drop]
    assert lost == [2, 0, 0, 0]
