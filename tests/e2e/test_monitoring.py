"""A real Prometheus asks the real processes: dashboards have what they draw, and a kill becomes an alert."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.monitoring.alerts import groups
from deploy.monitoring.catalogue import Kind, Metric, catalogue, processes
from deploy.monitoring.dashboards import DASHBOARDS
from deploy.monitoring.promql import asked
from deploy.monitoring.rules import Alert, Group, rule_file, scrape_file
from tests.http import call_now
from tests.polling import wait_for
from tests.prometheus import Prometheus, prometheus
from tests.system import HTTP, System

JOBS: Final = {name: f"feed-{name}" for name in HTTP}

# Series that an ordinary system does not have all the time, and when it does.
NOT_ALWAYS: Final = {
    "ALERTS": "while something is wrong",
    "feed_process_silent_workers_total": "with several workers",
    "feed_scorer_candidate_info": "while a candidate is tried",
    "feed_trainer_statuses_waiting": "with MLflow or Snowflake",
}


@pytest.fixture
def watching(system: System, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that asks every half second, and whose alerts wait for nothing."""
    (tmp_path / "rules").mkdir()
    for group in groups(tuple(JOBS.values())):
        (tmp_path / "rules" / f"{group.name}.yml").write_text(rule_file(_impatient(group)))
    configuration = tmp_path / "prometheus.yml"
    scrapes = scrape_file((job, system.http_port(name)) for name, job in JOBS.items())
    configuration.write_text(scrapes.replace("15s", "500ms"))
    with prometheus(tmp_path, configuration) as server:
        yield server


def _impatient(group: Group) -> Group:
    return replace(
        group, rules=tuple(replace(rule, wait="") if isinstance(rule, Alert) else rule for rule in group.rules)
    )


def test_everything_on_the_dashboards_has_something_to_draw(system: System, watching: Prometheus) -> None:
    drawn = [shown.replace("$__rate_interval", "1m") for each in DASHBOARDS for shown in each.expressions]
    always = [shown for shown in drawn if NOT_ALWAYS.keys().isdisjoint(name for name, _ in asked(shown).series)]

    def without_samples() -> list[str]:
        system.page("somebody")
        return [shown for shown in always if not watching.ask(shown)]

    wait_for(without_samples, lambda empty: empty == [])
    for shown in drawn:
        watching.ask(shown)


def test_a_killed_scorer_becomes_an_alert_that_ends_when_it_is_back(system: System, watching: Prometheus) -> None:
    wait_for(lambda: watching.ask('up{job="feed-scorer"} == 1'), bool)
    killed: set[int] = set()

    def alerted() -> str | None:
        pid = system.pid("scorer")
        if pid not in killed:
            killed.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        alert = watching.firing().get("FeedProcessAway", {"annotations": {"summary": None}})
        summary: str | None = alert["annotations"]["summary"]
        return summary

    assert wait_for(alerted, bool) == "feed-scorer is away."
    system.until_ready()
    wait_for(watching.firing, lambda firing: "FeedProcessAway" not in firing)


def test_the_catalogue_has_what_the_processes_expose(system: System) -> None:
    known = catalogue(processes())
    for name in HTTP:
        text = call_now(system.http_port(name), "GET", "/metrics").text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        exposed = {family for family in families if not family.endswith("_created")}
        of_process = {_family(metric): metric for metric in known if name in metric.processes}
        of_process.pop("feed_process_silent_workers", None)  # only where there are others
        assert exposed == of_process.keys()
        for family in exposed:
            labels = {label for sample in families[family].samples for label in sample.labels}
            assert labels - {"le"} <= set(of_process[family].labels)


def _family(metric: Metric) -> str:
    return metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name
