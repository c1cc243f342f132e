"""The bridge's metrics; label values come from closed sets, targets from the configuration."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import permutations, product
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bridge.domain.breaker import Mode, State
from bridge.domain.ladder import RungName, Skip
from bridge.domain.outcome import FallbackReason, Outcome, Source
from bridge.telemetry import (
    NO_STAGES,
    AttemptMade,
    BatchSent,
    BreakerMoved,
    ListFailed,
    ListTrouble,
    NullObserver,
    PageServed,
    RequestRefused,
    StageTimes,
)
from runtime.metrics import LATENCY_BUCKETS_S

_STATE_VALUES: Final = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}
_MODE_VALUES: Final = {Mode.AUTO: 0, Mode.OPEN: 1, Mode.CLOSED: 2}

_FALLBACK_SOURCES: Final = (Source.PRECOMPUTED, Source.TRENDING, Source.EDITORIAL)
_REASONS: Final = tuple(reason for reason in FallbackReason if reason is not FallbackReason.NONE)
# Why a list in memory is passed over.
_LIST_SKIPS: Final = (Skip.EMPTY, Skip.FILTERED_OUT, Skip.TOO_SHORT)
_LISTS: Final = (
    *("trending", "editorial", "newcomers", "recent", "corrections", "history", "older_history", "served_pages"),
    *("experiments", "consent"),
    "user_features",
    RungName.PRECOMPUTED,
)

# The fields of `StageTimes`.
_STAGES: Final = ("scorer", "backoff", "fallback", "answer", "queue")
# Some stages take microseconds.
_STAGE_BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, *LATENCY_BUCKETS_S[:11])
_BATCH_BUCKETS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

MetricT = TypeVar("MetricT", Counter, Histogram)


@dataclass(frozen=True, slots=True)
class Readings:
    """Values that are read when somebody asks for the metrics.

    Args:
        in_flight: Requests under way.
        retry_tokens: Tokens in the retry budget.
        limit: Requests that may ask scorers at a time.
        asking: Requests that ask scorers.
        trending_age_s: Age of the trending list, in seconds.
        breakers: State of each target's breaker.
        forced: Whether each target's breaker is held.
        serving: Whether each target serves, as its health service says.
    """

    in_flight: Callable[[], float]
    retry_tokens: Callable[[], float]
    limit: Callable[[], float]
    asking: Callable[[], float]
    trending_age_s: Callable[[], float]
    breakers: dict[str, Callable[[], State]]
    forced: dict[str, Callable[[], Mode]]
    serving: dict[str, Callable[[], bool]]


class BridgeMetrics(NullObserver):
    """An observer that counts.

    Args:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._pages = _PageMetrics(registry)
        self._attempts = _AttemptMetrics(registry)
        self._transitions: _Children[Counter] = _Children(
            Counter(
                "feed_bridge_breaker_transitions", "Moves of breakers.", ("target", "from", "to"), registry=registry
            )
        )
        self._lists: _Children[Counter] = _Children(
            Counter(
                "feed_bridge_list_failures", "Troubles with fallback lists.", ("list", "trouble"), registry=registry
            ),
            product(_LISTS, ListTrouble),
        )

    def watch_recent(self, events: Callable[[], float], age_s: Callable[[], float]) -> None:
        """Exposes how well users' newest interactions are followed."""
        self._gauge("feed_bridge_recent_events", "Users' newest interactions in memory.", events)
        self._gauge("feed_bridge_recent_age_seconds", "Time since they were read to their end.", age_s)

    def watch_corrections(
        self, count: Callable[[], float], senseless: Callable[[], float], age_s: Callable[[], float]
    ) -> None:
        """Exposes how well editors' corrections are followed."""
        self._gauge("feed_bridge_corrections", "Corrections in force.", count)
        self._gauge("feed_bridge_corrections_senseless", "Corrections left out: they make no sense.", senseless)
        self._gauge("feed_bridge_corrections_age_seconds", "Time since they were read.", age_s)

    def watch_consent(self, count: Callable[[], float], age_s: Callable[[], float]) -> None:
        """Exposes how well it is followed who wants to be known."""
        self._gauge("feed_bridge_consent_withheld_users", "Users who get nothing personal.", count)
        self._gauge("feed_bridge_consent_age_seconds", "Time since they were read.", age_s)

    def watch_experiments(self, count: Callable[[], float], age_s: Callable[[], float]) -> None:
        """Exposes how well experiments are followed."""
        self._gauge("feed_bridge_experiments", "Experiments that are running.", count)
        self._gauge("feed_bridge_experiments_age_seconds", "Time since they were read.", age_s)

    def watch_history(self, users: Callable[[], float], size: Callable[[], float], age_s: Callable[[], float]) -> None:
        """Exposes how much is known of what users have seen, and how well served pages are followed."""
        self._gauge("feed_bridge_history_users", "Users whose history is in memory.", users)
        self._gauge("feed_bridge_history_bytes", "About how much memory that takes.", size)
        self._gauge("feed_bridge_history_age_seconds", "Time since served pages were read to their end.", age_s)

    def watch(self, readings: Readings) -> None:
        """Exposes values that live elsewhere."""
        self._gauge("feed_bridge_in_flight", "Requests under way.", readings.in_flight)
        self._gauge("feed_bridge_retry_budget_tokens", "Retries that may be made now.", readings.retry_tokens)
        self._gauge("feed_bridge_limit", "Requests that may ask scorers at a time.", readings.limit)
        self._gauge("feed_bridge_asking", "Requests that ask scorers.", readings.asking)
        self._gauge("feed_bridge_trending_age_seconds", "Time since trending was read.", readings.trending_age_s)
        states = Gauge(
            "feed_bridge_breaker_state", "0 closed, 1 half-open, 2 open.", ("target",), registry=self._registry
        )
        forced = Gauge(
            "feed_bridge_breaker_forced",
            "0 decides itself, 1 held open, 2 held closed.",
            ("target",),
            registry=self._registry,
        )
        serving = Gauge(
            "feed_bridge_scorer_serving",
            "1 serves, 0 does not, by its health service: then others are asked first.",
            ("target",),
            registry=self._registry,
        )
        for target, serves in readings.serving.items():
            serving.labels(target).set_function(serves)
        for target, mode in readings.forced.items():
            forced.labels(target).set_function(partial(_mode_value, mode))
        for target, state in readings.breakers.items():
            states.labels(target).set_function(partial(_state_value, state))
            self._attempts.expect(target)
            self._transitions.expect((target, *move) for move in permutations(State, 2))

    def page_served(self, record: PageServed) -> None:
        """Counts a page."""
        self._pages.count(record)

    def attempt_made(self, record: AttemptMade) -> None:
        """Counts an attempt."""
        self._attempts.count(record)

    def batch_sent(self, record: BatchSent) -> None:
        """Counts a call for several requests."""
        self._attempts.count_batch(record)

    def request_refused(self, record: RequestRefused) -> None:
        """Counts a refusal."""
        del record
        self._pages.refused.inc()

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Counts a transition."""
        self._transitions[record.target, record.old, record.new].inc()

    def list_failed(self, record: ListFailed) -> None:
        """Counts a trouble with a list."""
        self._lists[record.name, record.trouble].inc()

    def _gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(name, text, registry=self._registry).set_function(read)


class _PageMetrics:
    """What is counted of a page: its source and time, the ladder, and what was shed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        by_page = ("source", "fallback_reason")
        self._requests: _Children[Counter] = _Children(
            Counter("feed_bridge_requests", "Pages served.", by_page, registry=registry),
            [(Source.LIGHTFM, FallbackReason.NONE), *product(_FALLBACK_SOURCES, _REASONS)],
        )
        self._seconds: _Children[Histogram] = _Children(
            Histogram(
                "feed_bridge_request_duration_seconds",
                "Time from arrival to the finished page.",
                by_page,
                buckets=LATENCY_BUCKETS_S,
                registry=registry,
            ),
            [(Source.LIGHTFM, FallbackReason.NONE)],
        )
        self._stages: _Children[Histogram] = _Children(
            Histogram(
                "feed_bridge_stage_duration_seconds",
                "Time of a request by what it went into.",
                ("stage",),
                buckets=_STAGE_BUCKETS_S,
                registry=registry,
            ),
            [(stage,) for stage in _STAGES],
        )
        self._withheld = Counter(
            "feed_bridge_pages_withheld",
            "Pages of which nothing is stored: their users do not want it.",
            registry=registry,
        )
        self._late = Counter("feed_bridge_late", "Pages finished after their deadline.", registry=registry)
        self._rungs: _Children[Counter] = _Children(
            Counter(
                "feed_bridge_fallback_rungs",
                "Fallback pages by the rung that served.",
                ("rung", "reason"),
                registry=registry,
            ),
            product(RungName, _REASONS),
        )
        self._skipped: _Children[Counter] = _Children(
            Counter("feed_bridge_rungs_skipped", "Rungs passed over.", ("rung", "why"), registry=registry),
            [*product(RungName, _LIST_SKIPS), *product([RungName.PRECOMPUTED], Skip)],
        )
        shed = Counter("feed_bridge_shed", "Requests that asked no scorer for overload.", ("tier",), registry=registry)
        self._shed_to_ladder = shed.labels("ladder")
        self.refused = shed.labels("refused")

    def count(self, record: PageServed) -> None:
        page = (record.source, record.fallback_reason)
        self._requests[page].inc()
        self._seconds[page].observe(record.elapsed_s)
        if record.stages is not NO_STAGES:
            self._count_stages(record.stages)
        if record.withheld:
            self._withheld.inc()
        if record.budget_left_s < 0:
            self._late.inc()
        if record.rung:
            self._rungs[record.rung, record.fallback_reason].inc()
            for skipped in record.skipped:
                self._skipped[skipped].inc()
            if record.fallback_reason is FallbackReason.OVERLOAD and not record.attempts:
                self._shed_to_ladder.inc()

    def _count_stages(self, times: StageTimes) -> None:
        spent = (times.scorer, times.backoff, times.fallback, times.answer, times.queue)
        for stage, seconds in zip(_STAGES, spent, strict=True):
            if seconds > 0:
                self._stages[stage,].observe(seconds)


class _AttemptMetrics:
    """What is counted of calls to scorers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes: _Children[Counter] = _Children(
            Counter("feed_bridge_attempts", "Attempts at scorers.", ("target", "outcome"), registry=registry)
        )
        self._seconds: _Children[Histogram] = _Children(
            Histogram(
                "feed_bridge_attempt_duration_seconds",
                "Time of an attempt.",
                ("target",),
                buckets=LATENCY_BUCKETS_S,
                registry=registry,
            )
        )
        retries = Counter("feed_bridge_retries", "Attempts after the first.", ("kind",), registry=registry)
        self._retries, self._hedges = retries.labels("retry"), retries.labels("hedge")
        self._batches: _Children[Histogram] = _Children(
            Histogram(
                "feed_bridge_batch_users",
                "Requests that shared a call to a scorer.",
                ("target",),
                buckets=_BATCH_BUCKETS,
                registry=registry,
            )
        )
        self._batch_seconds = Histogram(
            "feed_bridge_batch_wait_seconds",
            "Time the first request of a call waited for the others.",
            buckets=_STAGE_BUCKETS_S,
            registry=registry,
        )

    def expect(self, target: str) -> None:
        """Makes the series of a scorer, so that their first increase is seen as one."""
        self._outcomes.expect((target, outcome) for outcome in Outcome)
        self._seconds.expect([(target,)])
        self._batches.expect([(target,)])

    def count(self, record: AttemptMade) -> None:
        self._outcomes[record.target, record.outcome].inc()
        self._seconds[record.target,].observe(record.elapsed_s)
        if record.hedge:
            self._hedges.inc()
        elif record.attempt > 1:
            self._retries.inc()

    def count_batch(self, record: BatchSent) -> None:
        self._batches[record.target,].observe(record.users)
        self._batch_seconds.observe(record.waited_s)


class _Children(dict[tuple[str, ...], MetricT]):
    """The children of a metric by their label values: looking one up in the library costs more than counting."""

    def __init__(self, metric: MetricT, expected: Iterable[tuple[str, ...]] = ()) -> None:
        super().__init__()
        self._metric: MetricT = metric
        self.expect(expected)

    def expect(self, expected: Iterable[tuple[str, ...]]) -> None:
        """Makes these series at zero: `rate()` sees no increase in a series that begins with it."""
        for labels in expected:
            self[labels]

    def __missing__(self, labels: tuple[str, ...]) -> MetricT:
        child: MetricT = self._metric.labels(*labels)
        self[labels] = child
        return child


def _state_value(read: Callable[[], State]) -> float:
    return _STATE_VALUES[read()]


def _mode_value(read: Callable[[], Mode]) -> float:
    return _MODE_VALUES[read()]
