"""The event `feed.recommendation.fallback` (issue 4, item 6): one a second and reason, counted and never lost."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from bridge.domain.ladder import Skip
from bridge.domain.outcome import FallbackReason, Source
from bridge.event_log import EventLog
from bridge.fakes import FakeClock
from bridge.fallback_events import FallbackEvent, FallbackEvents
from bridge.telemetry import PageServed
from feed.recommendations.v1 import recommendations_pb2 as pb


def page(
    number: int = 1, reason: FallbackReason = FallbackReason.DEADLINE, *, continued: bool = False, attempts: int = 2
) -> PageServed:
    response = pb.GetRecommendationsResponse(feed_session_id="mine", recommendation_id=f"r{number}")
    skipped = (("precomputed", Skip.STALE),)
    return PageServed(
        "u1", response, Source.TRENDING, reason, continued, "trending_global", skipped, attempts, 0.1425, 0.0075
    )


class Sink:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[FallbackEvent] = []

    def fallback(self, event: FallbackEvent) -> None:
        self.events.append(event)


class SteppedClock(FakeClock):
    """Waits until it is told that the time has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.step = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.step.wait()
        self.step.clear()
        self.now += seconds


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def told(sink: Sink) -> list[tuple[str, int]]:
    return [(event.recommendation_id, event.suppressed) for event in sink.events]


def test_an_event_says_what_happened() -> None:
    sink = Sink()
    FallbackEvents((sink,), FakeClock()).page_served(page())
    assert sink.events == [
        FallbackEvent(
            reason=FallbackReason.DEADLINE,
            rung="trending_global",
            source=Source.TRENDING,
            skipped=(("precomputed", Skip.STALE),),
            algorithm_wanted="lightfm",
            feed_session_id="mine",
            recommendation_id="r1",
            attempts=2,
            elapsed_s=0.1425,
            suppressed=0,
        )
    ]


@pytest.mark.parametrize("record", [page(reason=FallbackReason.NONE), page(continued=True)], ids=["model", "page-two"])
def test_only_a_fresh_ranking_that_fell_back_is_one(record: PageServed) -> None:
    sink = Sink()
    FallbackEvents((sink,), FakeClock()).page_served(record)
    assert sink.events == []


def test_one_a_second_and_reason() -> None:
    sink, clock = Sink(), FakeClock()
    events = FallbackEvents((sink,), clock)
    for number in range(3):
        events.page_served(page(number))
        events.page_served(page(number + 10, FallbackReason.OVERLOAD))
    clock.now += 1.0
    events.page_served(page(20))
    assert told(sink) == [("r0", 0), ("r10", 0), ("r20", 2)]


async def test_what_no_event_follows_is_told_a_second_later() -> None:
    """Counted, not lost: also when the outage ends within the second."""
    sink, clock = Sink(), SteppedClock()
    events = FallbackEvents((sink,), clock)
    events.start()
    for number in range(4):
        events.page_served(page(number))
    clock.step.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert told(sink) == [("r0", 0), ("r3", 2)]
    await events.stop()
    assert len(sink.events) == 2


async def test_at_the_end_nothing_is_held_back() -> None:
    sink = Sink()
    events = FallbackEvents((sink,), SteppedClock())
    events.start()
    for number in range(3):
        events.page_served(page(number))
    await events.stop()
    assert told(sink) == [("r0", 0), ("r2", 1)]


class BrokenSink:
    """Fails."""

    def fallback(self, event: FallbackEvent) -> None:
        raise ZeroDivisionError(event)


def test_a_sink_that_fails_fails_nobody(logs: list[MutableMapping[str, Any]]) -> None:
    sink = Sink()
    FallbackEvents((BrokenSink(), sink), FakeClock()).page_served(page())
    assert told(sink) == [("r1", 0)]
    assert [entry["event"] for entry in logs] == ["bridge.event_sink_failed"]


def test_the_log_line_has_every_field(logs: list[MutableMapping[str, Any]]) -> None:
    clock = FakeClock()
    FallbackEvents((EventLog(clock.monotonic),), clock).page_served(page())
    assert logs == [
        {
            "event": "feed.recommendation.fallback",
            "log_level": "warning",
            "reason": "DEADLINE",
            "rung": "trending_global",
            "skipped": {"precomputed": "stale"},
            "algorithm_wanted": "lightfm",
            "feed_session_id": "mine",
            "recommendation_id": "r1",
            "attempts": 2,
            "elapsed_ms": 142.5,
            "suppressed": 0,
        }
    ]
