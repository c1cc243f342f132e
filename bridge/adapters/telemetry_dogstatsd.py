"""Fallbacks to a Datadog agent over DogStatsD."""

from bridge.domain.outcome import FallbackReason, Source
from bridge.fallback_events import EVENT_NAME, FallbackEvent
from bridge.telemetry import NullObserver, PageServed
from runtime.dogstatsd import AgentTelemetry


class DogStatsdTelemetry(AgentTelemetry, NullObserver):
    """Counts every fallback and tells the events.

    Args:
        address: `host:port`, or the path of a Unix socket.
        tags: Set on everything, such as `env:prod`.
    """

    def __init__(self, address: str, tags: list[str]) -> None:
        super().__init__(address, tags)
        self._tags: dict[tuple[FallbackReason, str, Source], list[str]] = {}

    def page_served(self, record: PageServed) -> None:
        """Counts it, when it is a fallback."""
        if record.fell_back:
            self._agent.client.increment(
                EVENT_NAME, tags=self._tags_of(record.fallback_reason, record.rung, record.source)
            )

    def fallback(self, event: FallbackEvent) -> None:
        """Sends an event."""
        self._agent.client.event(
            EVENT_NAME,
            _text(event),
            alert_type="warning",
            aggregation_key=event.reason.value,
            tags=self._tags_of(event.reason, event.rung, event.source),
        )

    def _tags_of(self, reason: FallbackReason, rung: str, source: Source) -> list[str]:
        found = self._tags.get((reason, rung, source))
        if found is None:
            found = [f"reason:{reason.value}", f"rung:{rung}", f"source:{source.value}"]
            self._tags[reason, rung, source] = found
        return found


def _text(event: FallbackEvent) -> str:
    fields = {
        "reason": event.reason.value,
        "rung": event.rung,
        "skipped": ",".join(f"{name}:{why.value}" for name, why in event.skipped) or "none",
        "algorithm_wanted": event.algorithm_wanted,
        "feed_session_id": event.feed_session_id,
        "recommendation_id": event.recommendation_id,
        "attempts": event.attempts,
        "elapsed_ms": round(event.elapsed_s * 1000, 3),
        "suppressed": event.suppressed,
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())
