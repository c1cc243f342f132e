"""The bridge's metrics; label values come from closed sets, targets from the configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bridge.domain.breaker import State
from bridge.domain.outcome import FallbackReason, Source
from bridge.telemetry import AttemptMade, BreakerMoved, ListFailed, PageServed
from runtime.metrics import LATENCY_BUCKETS_S

_STATE_VALUES: Final = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


@dataclass(frozen=True, slots=True)
class Readings:
    """Values that are read when somebody asks for the metrics.

    Args:
        in_flight: Requests under way.
        retry_tokens: Tokens in the retry budget.
        trending_age_s: Age of the trending list, in seconds.
        breakers: State of each target's breaker.
    """

    in_flight: Callable[[], float]
    retry_tokens: Callable[[], float]
    trending_age_s: Callable[[], float]
    breakers: dict[str, Callable[[], State]]


class BridgeMetrics:
    """An observer that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        by_page = ("source", "fallback_reason")
        self._requests = Counter("feed_bridge_requests", "Pages served.", by_page, registry=registry)
        self._seconds = Histogram(
            "feed_bridge_request_duration_seconds",
            "Time from arrival to the finished page.",
            by_page,
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._late = Counter("feed_bridge_late", "Pages finished after their deadline.", registry=registry)
        self._rungs = Counter(
            "feed_bridge_fallback_rungs", "Fallback pages by the rung that served.", ("rung",), registry=registry
        )
        self._attempts = Counter("feed_bridge_attempts", "Calls to scorers.", ("outcome",), registry=registry)
        self._transitions = Counter(
            "feed_bridge_breaker_transitions", "Moves of breakers.", ("from", "to"), registry=registry
        )
        self._lists = Counter(
            "feed_bridge_list_failures", "Troubles with fallback lists.", ("list", "trouble"), registry=registry
        )

        self._by_page: dict[tuple[Source, FallbackReason], tuple[Counter, Histogram]] = {}

    def watch(self, readings: Readings) -> None:
        """Exposes values that live elsewhere."""
        self._gauge("feed_bridge_in_flight", "Requests under way.", readings.in_flight)
        self._gauge("feed_bridge_retry_budget_tokens", "Retries that may be made now.", readings.retry_tokens)
        self._gauge("feed_bridge_trending_age_seconds", "Time since trending was read.", readings.trending_age_s)
        states = Gauge(
            "feed_bridge_breaker_state", "0 closed, 1 half-open, 2 open.", ("target",), registry=self._registry
        )
        for target, state in readings.breakers.items():
            states.labels(target).set_function(partial(_state_value, state))

    def page_served(self, record: PageServed) -> None:
        """Counts a page."""
        requests, seconds = self._of_page(record.source, record.fallback_reason)
        requests.inc()
        seconds.observe(record.elapsed_s)
        if record.budget_left_s < 0:
            self._late.inc()
        if record.rung:
            self._rungs.labels(record.rung).inc()

    def attempt_made(self, record: AttemptMade) -> None:
        """Counts an attempt."""
        self._attempts.labels(record.outcome.value).inc()

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Counts a transition."""
        self._transitions.labels(record.old.value, record.new.value).inc()

    def list_failed(self, record: ListFailed) -> None:
        """Counts a trouble with a list."""
        self._lists.labels(record.name, record.trouble.value).inc()

    def _of_page(self, source: Source, reason: FallbackReason) -> tuple[Counter, Histogram]:
        # Looking a label set up costs more than counting; there are few of them.
        found = self._by_page.get((source, reason))
        if found is None:
            labels = (source.value, reason.value)
            found = self._by_page[source, reason] = (self._requests.labels(*labels), self._seconds.labels(*labels))
        return found

    def _gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(name, text, registry=self._registry).set_function(read)


def _state_value(read: Callable[[], State]) -> float:
    return _STATE_VALUES[read()]
