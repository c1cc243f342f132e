"""What the log says: the event `feed.recommendation.fallback`, breaker transitions, troubles with lists."""

from collections.abc import Callable

import structlog

from bridge.domain.outcome import FallbackReason
from bridge.domain.throttle import Throttle
from bridge.telemetry import AttemptMade, BreakerMoved, ListFailed, PageServed

_LOG = structlog.get_logger(__name__)

# What every fresh feed asks for first.
WANTED_ALGORITHM = "lightfm"


class EventLog:
    """Writes a line for a fallback, at most one a second and reason; the next one says how many were held back.

    Args:
        monotonic: The time, in seconds that never jump.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._throttle = Throttle()

    def page_served(self, record: PageServed) -> None:
        """Writes the line, when a fresh ranking fell back."""
        if record.fallback_reason is FallbackReason.NONE or record.continued:
            return
        suppressed = self._throttle.admit(record.fallback_reason, self._monotonic())
        if suppressed is None:
            return
        _LOG.warning(
            "feed.recommendation.fallback",
            reason=record.fallback_reason.value,
            rung=record.rung,
            skipped={name: why.value for name, why in record.skipped},
            algorithm_wanted=WANTED_ALGORITHM,
            feed_session_id=record.response.feed_session_id,
            recommendation_id=record.response.recommendation_id,
            attempts=record.attempts,
            elapsed_ms=round(record.elapsed_s * 1000, 3),
            suppressed=suppressed,
        )

    def attempt_made(self, record: AttemptMade) -> None:
        """Writes nothing: attempts are counted, not logged."""

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Writes every transition: they are rare."""
        _LOG.warning("bridge.breaker_moved", target=record.target, old=record.old.value, new=record.new.value)

    def list_failed(self, record: ListFailed) -> None:
        """Writes at most one line a second for each list and trouble."""
        suppressed = self._throttle.admit(f"{record.name}.{record.trouble}", self._monotonic())
        if suppressed is not None:
            _LOG.error("bridge.list_failed", name=record.name, trouble=record.trouble.value, suppressed=suppressed)
