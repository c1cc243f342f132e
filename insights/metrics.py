"""Prometheus metrics of the insights."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from insights.adapters.ledger_database import MISSING
from insights.domain.analytics import Destination, EventName
from insights.domain.ledger import Verdict
from insights.domain.outcome import Outcome
from insights.domain.quality import FIELDS
from insights.keeper import Step
from insights.ports import LedgerState

# Told before anybody knows: none would look well.
_UNKNOWN: Final = float("nan")
_JUDGED: Final = tuple(verdict for verdict in Verdict if verdict is not Verdict.WAITING)


class InsightsMetrics:
    """Shows what the ledger adds up to: gauges, since it is the database that counts, over restarts.

    Args:
        registry: Where they are registered.
        monotonic: Seconds that never jump.
    """

    def __init__(self, registry: CollectorRegistry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._caught_up_s: float | None = None
        self._served = Gauge("feed_insights_served_videos", "Served videos on the ledger.", registry=registry)
        self._outcomes = Gauge(
            "feed_insights_outcomes", "Served videos by what became of them.", ("outcome",), registry=registry
        )
        self._balance = Gauge(
            "feed_insights_balance", "Served videos less all their outcomes, pending ones too.", registry=registry
        )
        self._claims = Gauge(
            "feed_insights_claims", "What users did, by what it was worth.", ("verdict",), registry=registry
        )
        self._waiting = Gauge("feed_insights_waiting_claims", "Those whose page is not known yet.", registry=registry)
        self._missing = Gauge("feed_insights_missing_videos", "Videos of pages without a decision.", registry=registry)
        self._failures = Counter("feed_insights_failures", "Failed attempts, by step.", ("step",), registry=registry)
        self._running = Gauge("feed_insights_experiments", "Experiments that are running.", registry=registry)
        self._mismatched = Gauge(
            "feed_insights_experiments_mismatched", "Those that have not the users they should.", registry=registry
        )
        self._stopped = Counter(
            "feed_insights_experiments_stopped", "Those that were stopped: they harmed their users.", registry=registry
        )
        self._forwarded = Counter(
            "feed_insights_forwarded", "Events that a destination took.", ("to", "event"), registry=registry
        )
        self._not_forwarded = Counter(
            "feed_insights_forwarding_failures", "Attempts that failed; made again.", ("to",), registry=registry
        )
        self._problems = Counter(
            "feed_insights_event_problems",
            "Fields of events that are not as they must be.",
            ("event", "field"),
            registry=registry,
        )
        for name in EventName:
            for field in FIELDS[name]:
                self._problems.labels(name.value, field)
        age = Gauge("feed_insights_ledger_age_seconds", "Since everything was on the ledger.", registry=registry)
        age.set_function(self.ledger_age_s)
        for gauge in (self._served, self._balance, self._waiting, self._missing):
            gauge.set(_UNKNOWN)
        for step in Step:  # an alert needs the zero before the first failure
            self._failures.labels(step.value)

    def caught_up(self) -> None:
        """Notes that everything there was is on the ledger."""
        self._caught_up_s = self._monotonic()

    def added_up(self, state: LedgerState) -> None:
        """Shows what the ledger adds up to."""
        self._served.set(state.served)
        self._balance.set(state.balance)
        self._waiting.set(state.waiting)
        self._missing.set(state.by_verdict.get(MISSING, 0))
        for outcome in Outcome:
            self._outcomes.labels(outcome.value).set(state.by_outcome.get(outcome, 0))
        for verdict in _JUDGED:
            self._claims.labels(verdict.value).set(state.by_verdict.get(verdict, 0))

    def step_failed(self, step: Step) -> None:
        """Counts one failed attempt."""
        self._failures.labels(step.value).inc()

    def looked(self, running: int, mismatched: int) -> None:
        """Shows how many experiments are running, and how many of them have not the users they should."""
        self._running.set(running)
        self._mismatched.set(mismatched)

    def stopped(self, name: str, harms: Sequence[str]) -> None:  # noqa: ARG002  # no label is an id
        """Counts an experiment that was stopped because it harmed its users."""
        self._stopped.inc()

    def mismatched(self, name: str, users: Mapping[str, int]) -> None:
        """Says nothing: `looked` shows how many there are."""

    def forwarding_to(self, destination: Destination) -> "ForwardMetrics":
        """Returns what counts the events that a destination is told."""
        return ForwardMetrics(destination, self._forwarded, self._not_forwarded)

    def problem_found(self, name: EventName, field: str) -> None:
        """Counts a field that is not as it must be."""
        self._problems.labels(name.value, field).inc()

    def ledger_age_s(self) -> float:
        """Returns how long ago everything was on the ledger, in seconds; infinite: never."""
        return float("inf") if self._caught_up_s is None else self._monotonic() - self._caught_up_s


class ForwardMetrics:
    """Counts what one destination is told.

    Args:
        destination: Who.
        taken: The counter of events, by destination and event.
        failures: The counter of failed attempts, by destination.
    """

    def __init__(self, destination: Destination, taken: Counter, failures: Counter) -> None:
        self._taken = {name: taken.labels(destination.value, name.value) for name in EventName}
        self._failures = failures.labels(destination.value)

    def forwarded(self, name: EventName, count: int) -> None:
        """Counts events that were taken."""
        self._taken[name].inc(count)

    def forwarding_failed(self) -> None:
        """Counts an attempt that failed."""
        self._failures.inc()
