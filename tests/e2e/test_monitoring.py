"""A real Prometheus asks the real processes: dashboards have what they draw, and a kill becomes an alert."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from deploy.monitoring.catalogue import Kind, Metric, catalogue, processes
from deploy.monitoring.dashboards import DASHBOARDS
from deploy.monitoring.promql import asked
from tests.certificates import self_signed
from tests.http import call_now
from tests.polling import wait_for
from tests.prometheus import Prometheus, prometheus, scraping
from tests.system import HTTP, ROOT, System

RUNBOOKS: Final = sorted((ROOT / "docs/runbooks").glob("Feed*.md"))
# Where runbooks find the processes.
PORTS: Final = {
    "8080": "bridge",
    "8081": "interactions",
    "8082": "scorer",
    "8083": "sink",
    "8084": "trainer",
    "8090": "insights",
}

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
    configuration = scraping(tmp_path, system, patient=False)
    with prometheus(tmp_path, configuration) as server:
        yield server


def away(watching: Prometheus) -> set[str]:
    """What is said of the processes that are away."""
    return {each["annotations"]["summary"] for each in watching.firing("FeedProcessAway")}


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
    wait_for(lambda: watching.ask(f"count(up == 1) == {len(HTTP)}"), bool)
    wait_for(lambda: away(watching), lambda jobs: jobs == set())
    killed: set[int] = set()

    def away_after_a_kill() -> set[str]:
        pid = system.pid("scorer")
        if pid not in killed:
            killed.add(pid)
            with suppress(ProcessLookupError):  # dead already, and not started again yet
                os.kill(pid, signal.SIGKILL)
        return away(watching)

    assert wait_for(away_after_a_kill, bool) == {"feed-scorer is away."}
    system.until_ready()
    wait_for(lambda: away(watching), lambda jobs: jobs == set())


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


@pytest.fixture
def place(system: System, tmp_path: Path) -> Path:
    """A folder as that of the project: `var/` is the system's, and `feed` is the command."""
    (tmp_path / "var").symlink_to(system.folder)
    command = tmp_path / "feed"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m deploy.cli "$@"\n')
    command.chmod(0o755)
    self_signed(tmp_path, "tls").certificate.rename(tmp_path / "tls.crt")
    return tmp_path


def test_commands_of_the_runbooks_confirm(system: System, system_database: sa.Engine, place: Path) -> None:
    """Every command and every query of a runbook runs here as it stands there, but for the ports."""
    text = "\n".join(path.read_text("utf-8") for path in RUNBOOKS)
    commands = {line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()}
    queries = set(re.findall(r"```sql\n(.*?)```", text, re.DOTALL))
    assert len(commands) > 50
    path = {"PATH": f"{place}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"}

    def served_at(port: re.Match[str]) -> str:
        return f"localhost:{system.http_port(PORTS[port[1]])}"

    for command in sorted(commands):
        done = subprocess.run(
            ["sh", "-c", re.sub(r"localhost:(\d+)", served_at, command)],
            env={**system.environ, **system.servers(), **path},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        # What is looked for in a log need not have happened; a metric has to be there.
        assert done.returncode in ({0, 1} if command.startswith("grep ") else {0}), (command, done)
        assert not done.stderr, (command, done)
    with system_database.connect() as connection:
        for query in queries:
            connection.execute(sa.text(query)).all()
