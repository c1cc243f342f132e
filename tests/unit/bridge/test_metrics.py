"""Metrics for failure modes (issue 4, item 8): what happened, by closed sets of labels, from zero."""

import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bridge.domain.breaker import Mode, State
from bridge.domain.ladder import Skip
from bridge.domain.outcome import FallbackReason, Outcome, Source
from bridge.fakes import Recorder
from bridge.metrics import BridgeMetrics, Readings
from bridge.telemetry import (
    AttemptMade,
    BatchSent,
    BreakerMoved,
    ListFailed,
    ListTrouble,
    NullObserver,
    Observers,
    PageServed,
    RequestRefused,
    StageTimes,
)
from feed.recommendations.v1 import recommendations_pb2 as pb

PAGE = PageServed(
    user_id="u1",
    response=pb.GetRecommendationsResponse(),
    source=Source.LIGHTFM,
    fallback_reason=FallbackReason.NONE,
    continued=False,
    rung="",
    skipped=(),
    attempts=1,
    elapsed_s=0.012,
    budget_left_s=0.138,
)
READINGS = Readings(
    in_flight=lambda: 3.0,
    limit=lambda: 2.0,
    asking=lambda: 1.0,
    retry_tokens=lambda: 7.5,
    trending_age_s=lambda: 12.0,
    breakers={"s0": lambda: State.HALF_OPEN},
    forced={"s0": lambda: Mode.OPEN},
    serving={"s0": lambda: False, "s1": lambda: True},
)
FALLBACK = replace(
    PAGE,
    source=Source.TRENDING,
    fallback_reason=FallbackReason.CIRCUIT_OPEN,
    rung="trending_global",
    skipped=(("precomputed", Skip.STALE), ("trending_country", Skip.TOO_SHORT)),
    attempts=0,
)


class Counted:
    """The metrics of a bridge with one scorer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = BridgeMetrics(self.registry)
        self.metrics.watch(READINGS)
        self.metrics.watch_corrections(lambda: 4.0, lambda: 1.0, lambda: 0.5)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"feed_bridge_{name}", labels)


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("requests_total", {"source": "LIGHTFM", "fallback_reason": "NONE"}),
        ("requests_total", {"source": "PRECOMPUTED", "fallback_reason": "DEADLINE"}),
        ("requests_total", {"source": "EDITORIAL", "fallback_reason": "EMPTY_RANKING"}),
        ("late_total", {}),
        ("stage_duration_seconds_count", {"stage": "backoff"}),
        ("fallback_rungs_total", {"rung": "precomputed", "reason": "RETRY_BUDGET"}),
        ("rungs_skipped_total", {"rung": "precomputed", "why": "timeout"}),
        ("rungs_skipped_total", {"rung": "editorial", "why": "empty"}),
        ("attempts_total", {"target": "s0", "outcome": "timeout"}),
        ("attempt_duration_seconds_count", {"target": "s0"}),
        ("retries_total", {"kind": "retry"}),
        ("retries_total", {"kind": "hedge"}),
        ("shed_total", {"tier": "ladder"}),
        ("shed_total", {"tier": "refused"}),
        ("batch_users_count", {"target": "s0"}),
        ("batch_wait_seconds_count", {}),
        ("breaker_transitions_total", {"target": "s0", "from": "closed", "to": "open"}),
        ("list_failures_total", {"list": "precomputed", "trouble": "unreadable"}),
    ],
)
def test_a_series_is_there_before_its_first_event(name: str, labels: dict[str, str], counted: Counted) -> None:
    """`rate()` sees no increase in a series that begins with it."""
    assert counted(name, **labels) == 0


def test_every_metric_is_explained(counted: Counted) -> None:
    text = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    names = {sample.name for family in counted.registry.collect() for sample in family.samples}
    exposed = {re.sub("_(bucket|count|sum|created)$", "", name) for name in names}
    # `_created` of a counter leaves its name without `_total`.
    assert {name for name in exposed if f"`{name}`" not in text and f"`{name}_total`" not in text} == set()


def test_what_lives_elsewhere_is_read(counted: Counted) -> None:
    assert counted("in_flight") == 3
    assert counted("retry_budget_tokens") == 7.5
    assert counted("trending_age_seconds") == 12
    assert (counted("limit"), counted("asking")) == (2, 1)
    assert (counted("corrections"), counted("corrections_senseless"), counted("corrections_age_seconds")) == (4, 1, 0.5)
    assert counted("breaker_state", target="s0") == 1
    assert counted("breaker_forced", target="s0") == 1
    assert (counted("scorer_serving", target="s0"), counted("scorer_serving", target="s1")) == (0, 1)


def test_a_page_of_the_model(counted: Counted) -> None:
    counted.metrics.page_served(replace(PAGE, stages=StageTimes(queue=0.002, scorer=0.010, answer=0.001)))
    page = {"source": "LIGHTFM", "fallback_reason": "NONE"}
    assert counted("requests_total", **page) == 1
    assert counted("request_duration_seconds_sum", **page) == pytest.approx(0.012)
    assert counted("stage_duration_seconds_sum", stage="scorer") == pytest.approx(0.010)
    stages = ("queue", "scorer", "backoff", "fallback", "answer")
    assert [counted("stage_duration_seconds_count", stage=stage) for stage in stages] == [1, 1, 0, 0, 1]
    assert counted("late_total") == 0


def test_a_page_of_the_ladder(counted: Counted) -> None:
    counted.metrics.page_served(FALLBACK)
    assert counted("fallback_rungs_total", rung="trending_global", reason="CIRCUIT_OPEN") == 1
    assert counted("rungs_skipped_total", rung="precomputed", why="stale") == 1
    assert counted("rungs_skipped_total", rung="trending_country", why="too_short") == 1
    assert counted("shed_total", tier="ladder") == 0


def test_a_late_page(counted: Counted) -> None:
    counted.metrics.page_served(replace(PAGE, budget_left_s=-0.001))
    assert counted("late_total") == 1


@pytest.mark.parametrize(
    ("attempts", "shed"), [pytest.param(0, 1, id="by-us"), pytest.param(1, 0, id="the-scorer-pushed-back")]
)
def test_what_was_shed_before_any_attempt(attempts: int, shed: int, counted: Counted) -> None:
    counted.metrics.page_served(replace(FALLBACK, fallback_reason=FallbackReason.OVERLOAD, attempts=attempts))
    counted.metrics.request_refused(RequestRefused(0.1))
    assert counted("shed_total", tier="ladder") == shed
    assert counted("shed_total", tier="refused") == 1


def test_attempts_retries_and_hedges(counted: Counted) -> None:
    for attempt, outcome, hedge in ((1, Outcome.TIMEOUT, False), (2, Outcome.OK, False), (2, Outcome.CANCELLED, True)):
        counted.metrics.attempt_made(AttemptMade("s0", attempt, outcome, 0.02, hedge=hedge))
    outcomes = {name: counted("attempts_total", target="s0", outcome=name) for name in ("timeout", "ok", "cancelled")}
    assert outcomes == {"timeout": 1, "ok": 1, "cancelled": 1}
    assert counted("attempt_duration_seconds_sum", target="s0") == pytest.approx(0.06)
    assert (counted("retries_total", kind="retry"), counted("retries_total", kind="hedge")) == (1, 1)


def test_batches(counted: Counted) -> None:
    for users, waited_s in ((1, 0.0), (7, 0.0009)):
        counted.metrics.batch_sent(BatchSent("s0", users, waited_s))
    assert counted("batch_users_sum", target="s0") == 8
    assert counted("batch_users_bucket", target="s0", le="8.0") == 2
    assert counted("batch_wait_seconds_sum") == pytest.approx(0.0009)


def test_transitions_by_target(counted: Counted) -> None:
    counted.metrics.breaker_moved(BreakerMoved("s0", State.CLOSED, State.OPEN))
    assert counted("breaker_transitions_total", **{"target": "s0", "from": "closed", "to": "open"}) == 1


def test_troubles_with_lists(counted: Counted) -> None:
    counted.metrics.list_failed(ListFailed("trending", ListTrouble.UNWRITABLE))
    assert counted("list_failures_total", list="trending", trouble="unwritable") == 1


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


class Failing(NullObserver):
    """Fails with every page."""

    def page_served(self, record: PageServed) -> None:
        raise ZeroDivisionError(record)


def test_an_observer_that_fails_fails_neither_the_page_nor_the_others(logs: list[MutableMapping[str, Any]]) -> None:
    recorder = Recorder()
    observers = Observers((Failing(), recorder))
    observers.page_served(PAGE)
    assert recorder.pages == [PAGE]
    assert [(entry["event"], entry["observer"]) for entry in logs] == [
        ("bridge.observer_failed", "Failing.page_served")
    ]


def test_every_record_reaches_who_wants_it() -> None:
    recorder = Recorder()
    observers = Observers((NullObserver(), recorder))
    records = (
        AttemptMade("s0", 1, Outcome.OK, 0.01),
        BatchSent("s0", 2, 0.001),
        RequestRefused(0.1),
        BreakerMoved("s0", State.OPEN, State.CLOSED),
        ListFailed("trending", ListTrouble.UNREADABLE),
    )
    observers.attempt_made(records[0])
    observers.batch_sent(records[1])
    observers.request_refused(records[2])
    observers.breaker_moved(records[3])
    observers.list_failed(records[4])
    kept = (recorder.attempts, recorder.batches, recorder.refusals, recorder.moves, recorder.list_failures)
    assert kept == tuple([record] for record in records)
