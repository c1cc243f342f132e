"""What the log says: the event `feed.recommendation.fallback`, breaker transitions, troubles with lists."""

from collections.abc import Callable

import structlog

from bridge.fallback_events import EVENT_NAME, FallbackEvent
from bridge.telemetry import BreakerMoved, ListFailed, NullObserver
from runtime.throttle import Throttle

_LOG = structlog.get_logger(__name__)


class EventLog(NullObserver):
    """Writes a line for an event, a transition or a trouble.

    Args:
        monotonic: The time, in seconds that never jump.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._throttle: Throttle[ListFailed] = Throttle()

    def fallback(self, event: FallbackEvent) -> None:
        """Writes an event."""
        _LOG.warning(
            EVENT_NAME,
            reason=event.reason.value,
            rung=event.rung,
            skipped={name: why.value for name, why in event.skipped},
            algorithm_wanted=event.algorithm_wanted,
            feed_session_id=event.feed_session_id,
            recommendation_id=event.recommendation_id,
            attempts=event.attempts,
            elapsed_ms=round(event.elapsed_s * 1000, 3),
            suppressed=event.suppressed,
        )

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Writes every transition: they are rare."""
        _LOG.warning("bridge.breaker_moved", target=record.target, old=record.old.value, new=record.new.value)

    def list_failed(self, record: ListFailed) -> None:
        """Writes at most one line a second for each list and trouble."""
        suppressed = self._throttle.admit(f"{record.name}.{record.trouble}", record, self._monotonic())
        if suppressed is not None:
            _LOG.error("bridge.list_failed", name=record.name, trouble=record.trouble.value, suppressed=suppressed)
