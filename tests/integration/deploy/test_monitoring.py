"""Dashboards, rules and documents name the metrics that the processes have, and all of them."""

from pathlib import Path

import pytest

from deploy.monitoring.catalogue import Kind, Metric
from deploy.monitoring.dashboards import DASHBOARDS
from deploy.monitoring.made import Monitoring, out_of_step
from deploy.monitoring.rules import dumped
from tests.prometheus import promtool
from tests.system import ROOT


@pytest.fixture(scope="module")
def monitoring() -> Monitoring:
    return Monitoring()


def test_a_counter_that_several_have_is_one_metric_of_them_all(monitoring: Monitoring) -> None:
    by_name = {metric.name: metric for metric in monitoring.metrics}
    assert by_name["feed_eventlog_switches_total"] == Metric(
        "feed_eventlog_switches_total",
        Kind.COUNTER,
        ("way",),
        "Changes of the way of new records.",
        ("bridge", "interactions", "sink"),
    )
    assert by_name["feed_process_info"].labels == ("contract", "process")
    assert by_name["feed_bridge_request_duration_seconds"].unit == "seconds"


def test_nothing_is_asked_for_that_is_not_there_and_nothing_is_there_that_is_not_shown(monitoring: Monitoring) -> None:
    assert list(monitoring.problems(ROOT)) == []


def test_the_files_are_in_step(monitoring: Monitoring) -> None:
    assert out_of_step(monitoring.files(ROOT), ROOT) == []


def test_a_stale_and_a_left_over_file_are_named(monitoring: Monitoring, tmp_path: Path) -> None:
    files = monitoring.files(ROOT)
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    assert out_of_step(files, tmp_path) == []
    for name in ("deploy/prometheus/rules/bridge.yml", "deploy/grafana/dashboards/old.json"):
        (tmp_path / name).write_text("other", "utf-8")
    assert out_of_step(files, tmp_path) == ["deploy/grafana/dashboards/old.json", "deploy/prometheus/rules/bridge.yml"]


def test_all_that_is_drawn_is_promql(tmp_path: Path) -> None:
    """As recorded series promtool parses it."""
    drawn = [shown.replace("$__rate_interval", "5m") for each in DASHBOARDS for shown in each.expressions]
    rules = [{"record": f"drawn:{number}", "expr": expression} for number, expression in enumerate(drawn)]
    path = tmp_path / "drawn.yml"
    path.write_text(dumped({"groups": [{"name": "drawn", "rules": rules}]}), "utf-8")
    assert f"{len(rules)} rules found" in promtool("check", "rules", path)
