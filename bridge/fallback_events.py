"""The event `feed.recommendation.fallback`: told at most once a second and reason, and counted, never lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from bridge.domain.ladder import Skip
from bridge.domain.outcome import FallbackReason, Source
from bridge.ports import Clock
from bridge.telemetry import NullObserver, PageServed
from runtime.throttle import Throttle

_LOG = structlog.get_logger(__name__)

EVENT_NAME: Final = "feed.recommendation.fallback"

# What every fresh feed asks for first.
WANTED_ALGORITHM: Final = "lightfm"

INTERVAL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class FallbackEvent:
    """A fresh ranking that was not the model's; it speaks for `suppressed` more of the same reason.

    Args:
        reason: Why the model did not serve.
        rung: The ladder's rung that did.
        source: Where that rung's ranking comes from.
        skipped: The rungs passed over, each with why.
        algorithm_wanted: What was asked for first.
        feed_session_id: The session.
        recommendation_id: The page.
        attempts: Calls made to scorers.
        elapsed_s: Time from arrival to the finished page, in seconds.
        suppressed: How many were not told since the event before.
    """

    reason: FallbackReason
    rung: str
    source: Source
    skipped: tuple[tuple[str, Skip], ...]
    algorithm_wanted: str
    feed_session_id: str
    recommendation_id: str
    attempts: int
    elapsed_s: float
    suppressed: int


class EventSink(Protocol):
    """Somebody to whom the event is told. It must be quick and must not wait."""

    def fallback(self, event: FallbackEvent) -> None:
        """Takes an event."""


class FallbackEvents(NullObserver):
    """Makes events of fallbacks; what it held back is told a second later when no other event follows.

    Args:
        sinks: Who is told.
        clock: Time.
    """

    def __init__(self, sinks: Sequence[EventSink], clock: Clock) -> None:
        self._sinks = tuple(sinks)
        self._clock = clock
        self._throttle: Throttle[PageServed] = Throttle(INTERVAL_S)
        self._task: asyncio.Task[None] | None = None

    def page_served(self, record: PageServed) -> None:
        """Makes an event of it, when it is a fallback and its time has come."""
        if not record.fell_back:
            return
        suppressed = self._throttle.admit(record.fallback_reason, record, self._clock.monotonic())
        if suppressed is not None:
            self._tell(record, suppressed)

    def start(self) -> None:
        """Starts telling what was held back."""
        self._task = asyncio.create_task(self._keep_telling(), name="fallback-events")

    async def stop(self) -> None:
        """Tells everything that is still held back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for record, suppressed in self._throttle.rest(self._clock.monotonic()):
            self._tell(record, suppressed)

    async def _keep_telling(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            for record, suppressed in self._throttle.overdue(self._clock.monotonic()):
                self._tell(record, suppressed)

    def _tell(self, record: PageServed, suppressed: int) -> None:
        event = _event(record, suppressed)
        for sink in self._sinks:
            try:
                sink.fallback(event)
            except Exception:  # noqa: BLE001  # one that fails must fail neither the page nor the others
                _LOG.exception("bridge.event_sink_failed", sink=type(sink).__name__)


def _event(record: PageServed, suppressed: int) -> FallbackEvent:
    return FallbackEvent(
        reason=record.fallback_reason,
        rung=record.rung,
        source=record.source,
        skipped=record.skipped,
        algorithm_wanted=WANTED_ALGORITHM,
        feed_session_id=record.response.feed_session_id,
        recommendation_id=record.response.recommendation_id,
        attempts=record.attempts,
        elapsed_s=record.elapsed_s,
        suppressed=suppressed,
    )
