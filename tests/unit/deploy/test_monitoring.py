"""What dashboards and alerts are made of: words of PromQL, what documents say, and places of panels."""

import json
from pathlib import Path

import pytest

from bridge.settings import BridgeSettings
from deploy.monitoring.catalogue import Kind, Metric
from deploy.monitoring.dashboards import DASHBOARDS
from deploy.monitoring.grafana import Dashboard, dashboard_file
from deploy.monitoring.promql import Asked, asked, unknown
from deploy.monitoring.reference import wrong
from deploy.monitoring.slo import PROMISE_S
from runtime.metrics import LATENCY_BUCKETS_S

KNOWN = {"a_total": frozenset({"job", "x"}), "b_bucket": frozenset({"job", "le"})}
METRIC = Metric("feed_bridge_a_total", Kind.COUNTER, ("x",), "", ("bridge",))


@pytest.mark.parametrize(
    ("expression", "series", "groupings"),
    [
        ("a_total", [("a_total", set())], set()),
        ('sum by (x, y) (rate(a_total{x="1", job!~"a b|c"}[5m]))', [("a_total", {"x", "job"})], {"x", "y"}),
        ("histogram_quantile(0.95, sum by (le) (rate(b_bucket[5m])))", [("b_bucket", set())], {"le"}),
        ("a_total / on (x) group_left (z) b_bucket > bool 1e3", [("a_total", set()), ("b_bucket", set())], {"x", "z"}),
        ("a:b:c offset 1d or vector(0) unless absent(up)", [("a:b:c", set()), ("up", set())], set()),
        ("sum(a_total) without (x) == Inf", [("a_total", set())], {"x"}),
        ('a_total{x="}b_bucket{"}', [("a_total", {"x"})], set()),
    ],
)
def test_an_expression_asks_for_series_and_labels(
    expression: str, series: list[tuple[str, set[str]]], groupings: set[str]
) -> None:
    found = Asked(tuple((name, frozenset(labels)) for name, labels in series), frozenset(groupings))
    assert asked(expression) == found


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("rate(c_total[5m])", "no series is called c_total"),
        ('a_total{y="1"}', "a_total has no label y"),
        ("sum by (y) (a_total)", "none of its series has the label y"),
    ],
)
def test_what_nobody_exposes_is_unknown(expression: str, problem: str) -> None:
    assert unknown(expression, KNOWN) == [problem]


@pytest.mark.parametrize(
    ("tables", "said", "problems"),
    [
        ("| `feed_bridge_a_total` | `x` | … |", "`feed_bridge_a_total`", []),
        ("| `feed_bridge_a_total` | | … |", "", ["feed_bridge_a_total has the labels x, and is to be explained once"]),
        ("", "", ["feed_bridge_a_total is not explained"]),
        ("| `feed_bridge_a_total` | `x` | … |", "look at feed_bridge_b", ["page: there is no feed_bridge_b"]),
        (
            "| `feed_bridge_a_total` | `x` | … |",
            "feed_bridge_(a|b) feed_sink_lag_(a)",
            ["page: there is no feed_sink_lag_"],
        ),
    ],
)
def test_documents_explain_what_is_there_and_nothing_else(tables: str, said: str, problems: list[str]) -> None:
    assert list(wrong([METRIC], tables, {Path("page"): said})) == problems


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.name)
def test_panels_do_not_lie_on_each_other_and_ask_the_chosen_source(dashboard: Dashboard) -> None:
    content = json.loads(dashboard_file(dashboard))
    taken = [
        (x, y)
        for at in (panel["gridPos"] for panel in content["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    asking = [panel for panel in content["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in asking} == {"${datasource}"}
    assert len({panel["id"] for panel in content["panels"]}) == len(content["panels"])


def test_the_promise_is_the_deadline_and_can_be_read_off() -> None:
    assert BridgeSettings.model_fields["bridge_deadline_ms"].default == PROMISE_S * 1000
    assert PROMISE_S in LATENCY_BUCKETS_S
