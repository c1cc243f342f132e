"""Prometheus and its promtool, of the Debian package."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.http import call_now
from tests.polling import wait_for
from tests.system import free_ports


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

    def is_ready(self) -> bool:
        try:
            return call_now(self._port, "GET", "/-/ready").status == 200
        except OSError:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = call_now(self._port, "GET", path).json
        assert answer["status"] == "success", (path, answer)
        return answer


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
