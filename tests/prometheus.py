"""Prometheus and its promtool, of the Debian package."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from deploy.monitoring.alerts import groups
from deploy.monitoring.rules import Alert, Group, rule_file, scrape_file
from tests.http import call_now
from tests.polling import wait_for
from tests.system import HTTP, System, free_ports


def needed(program: str) -> str:
    """Where it is; without it the test fails where CI is set, and else is skipped with the reason."""
    found = shutil.which(program)
    if found is None:
        reason = f"needs {program}: sh deploy/install-debian.sh --tests installs it"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    return found


def promtool(*arguments: str | Path) -> str:
    """Runs it to its end, which must be a good one; returns what it said."""
    command = [needed("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


class Prometheus:
    """A running server.

    Args:
        port: Of its API.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Evaluates an expression now; an error fails the test."""
        answer = self._get(f"/api/v1/query?{urlencode({'query': expression})}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self, name: str) -> list[dict[str, Any]]:
        """The alerts of a name that fire."""
        alerts = self._get("/api/v1/alerts")["data"]["alerts"]
        return [each for each in alerts if each["labels"]["alertname"] == name and each["state"] == "firing"]

    def all_firing(self) -> set[str]:
        """Names of all alerts that fire."""
        alerts = self._get("/api/v1/alerts")["data"]["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def is_ready(self) -> bool:
        try:
            return call_now(self._port, "GET", "/-/ready").status == 200
        except OSError:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = call_now(self._port, "GET", path).json
        assert answer["status"] == "success", (path, answer)
        return answer


def scraping(folder: Path, system: System, *, patient: bool) -> Path:
    """Writes the configuration that ships, for the ports of a system; returns its path.

    Args:
        folder: Where it goes, with its rules.
        system: What is watched.
        patient: As it ships; otherwise each half second, and its alerts wait for nothing.
    """
    (folder / "rules").mkdir()
    for group in groups([f"feed-{name}" for name in HTTP]):
        text = rule_file(group if patient else _impatient(group))
        (folder / "rules" / f"{group.name}.yml").write_text(text)
    configuration = folder / "prometheus.yml"
    scrapes = scrape_file((f"feed-{name}", f"localhost:{system.http_port(name)}") for name in HTTP)
    configuration.write_text(scrapes if patient else scrapes.replace("15s", "500ms"))
    return configuration


def _impatient(group: Group) -> Group:
    return replace(
        group, rules=tuple(replace(rule, wait="") if isinstance(rule, Alert) else rule for rule in group.rules)
    )


@contextmanager
def prometheus(folder: Path, configuration: Path) -> Iterator[Prometheus]:
    """A server with its data in a folder."""
    port = next(free_ports())
    command = [needed("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        running = Prometheus(port)
        wait_for(running.is_ready, bool)
        yield running
    finally:
        server.terminate()
        server.wait(timeout=30)
