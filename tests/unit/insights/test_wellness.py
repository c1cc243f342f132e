"""Is the feed well? Each row breaks one thing."""

import math
from collections.abc import Sequence

import pytest

from insights.domain.scrapes import Sample, Samples, Window
from insights.domain.wellness import Books, Breaker, Process, State, Verdict, figures_of, judge

BALANCED = Books(0, 0.5)


def requests(model: float = 0, fallback: float = 0) -> Sequence[Sample]:
    return [
        Sample({"source": "LIGHTFM", "fallback_reason": "NONE"}, model),
        Sample({"source": "TRENDING", "fallback_reason": "DEADLINE"}, fallback),
    ]


def process(name: str, before: Samples | None = None, **after: Sequence[Sample]) -> Process:
    return Process(name, f"http://{name}", Window([before or {}], [after]))


def silent(name: str) -> Process:
    return Process(name, f"http://{name}", None)


BRIDGE = process("bridge")

ROWS = {
    "a-silent-sink": ([BRIDGE, silent("sink")], BALANCED, "sink does not answer at http://sink"),
    "one-of-two-bridges": ([BRIDGE, silent("bridge")], BALANCED, "bridge does not answer at http://bridge"),
    "late": (
        [process("bridge", {"feed_bridge_late_total": [Sample({}, 2)]}, feed_bridge_late_total=[Sample({}, 5)])],
        BALANCED,
        "late answers in the last minute: 3",
    ),
    "fallbacks": (
        [process("bridge", feed_bridge_requests_total=requests(75, 25))],
        BALANCED,
        "25.0% of pages are not the model's",
    ),
    "breaker": (
        [process("bridge", feed_bridge_breaker_state=[Sample({"target": "s:1"}, 0), Sample({"target": "s:1"}, 2)])],
        BALANCED,
        "the breaker of s:1 is open",
    ),
    "lag": (
        [BRIDGE, process("sink", feed_sink_lag_seconds=[Sample({"topic": "t"}, 61)])],
        BALANCED,
        "the sink is 61 s behind t",
    ),
    "unknown-lag": (
        [BRIDGE, process("sink", feed_sink_lag_seconds=[Sample({"topic": "t"}, math.nan), Sample({"topic": "t"}, 0)])],
        BALANCED,
        "nobody knows how far the sink is behind t",
    ),
    "old-model": (
        [BRIDGE, process("scorer", feed_scorer_model_age_seconds=[Sample({}, 129_601)])],
        BALANCED,
        "no good model has come for 36 h",
    ),
    "no-model": (
        [BRIDGE, process("scorer", feed_scorer_model_age_seconds=[Sample({}, math.inf)])],
        BALANCED,
        "a scorer has no model",
    ),
    "unbalanced": ([BRIDGE], Books(-3, 0.5), "the ledger is out of balance by -3"),
    "slow-ledger": ([BRIDGE], Books(0, 61), "the ledger does not follow what is served"),
    "no-database": ([BRIDGE], None, "the database cannot be used"),
}


@pytest.mark.parametrize(("processes", "books", "reason"), ROWS.values(), ids=ROWS)
def test_one_fault_degrades_and_is_named(processes: Sequence[Process], books: Books | None, reason: str):
    assert judge(figures_of(processes), books) == Verdict(State.DEGRADED, [reason])


@pytest.mark.parametrize(
    "processes",
    [
        pytest.param([BRIDGE], id="nothing-happens"),
        pytest.param([], id="nobody-is-watched"),
        pytest.param([process("bridge", feed_bridge_requests_total=requests(96, 4))], id="a-few-fallbacks"),
        pytest.param([process("bridge", feed_bridge_requests_total=requests(9, 10))], id="too-few-pages-for-a-share"),
        pytest.param([process("bridge", feed_bridge_breaker_state=[Sample({"target": "s"}, 1)])], id="half-open"),
    ],
)
def test_without_a_fault_it_is_well(processes: Sequence[Process]):
    assert judge(figures_of(processes), BALANCED) == Verdict(State.WELL, [])


def test_without_a_bridge_it_is_down_whatever_else():
    verdict = judge(figures_of([silent("bridge"), silent("bridge"), silent("sink")]), None)
    assert verdict == Verdict(State.DOWN, ["no bridge answers"])


def test_figures_are_of_all_processes_together():
    bridges = [
        process(
            "bridge",
            feed_bridge_request_duration_seconds_bucket=[Sample({"le": "0.1"}, 10), Sample({"le": "+Inf"}, 10)],
            feed_bridge_requests_total=requests(8, 2),
            feed_bridge_breaker_state=[Sample({"target": "s:1"}, state), Sample({"target": "s:2"}, 0)],
        )
        for state in (1, 0)
    ]
    scorers = [
        process(
            "scorer",
            feed_scorer_model_age_seconds=[Sample({}, age)],
            feed_scorer_model_info=[Sample({"model_version": version}, 1), Sample({"model_version": "before"}, 0)],
        )
        for age, version in ((5, "m2"), (90, "m1"))
    ]
    found = figures_of([*bridges, *scorers])
    assert [found.pages, found.fallback_share, found.answer_p95_s] == pytest.approx([20, 0.2, 0.095])
    assert found.breakers == {"s:1": Breaker.HALF_OPEN, "s:2": Breaker.CLOSED}
    assert (found.model_version, found.model_age_s) == ("m1, m2", 90)
