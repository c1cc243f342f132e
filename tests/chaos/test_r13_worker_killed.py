"""R13: workers on one port are killed under load and come back; nobody else gets the port; none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.servers.sockets import listen
from tests.chaos.callers import GoCaller, PythonCaller, documented_config
from tests.chaos.conftest import Reporter
from tests.chaos.name_server import NameServer
from tests.chaos.processes import Running
from tests.chaos.rig import LONG_RPS, SHORT_RPS, Rig
from tests.chaos.watching import read_metrics
from tests.commands import bare_environ
from tests.polling import wait_for
from tests.system import ROOT

TARGET = "0 failed after retry; back <= 2 s; a foreign process on the port makes boot fail loudly"
WORKERS = 3
# More connections than workers, so that each has some.
CHANNELS = 6
# A guess of one kill and its calm: as long as grpc-go calls, the kills go on.
KILL_S = 3.0
NOBODY = "127.0.0.1:1"  # its pages are trending


class Crew:
    """What a bridge's log tells of its workers."""

    def __init__(self, bridge: Running) -> None:
        self._bridge = bridge

    def pids(self) -> dict[int, int]:
        """The process of each worker that serves."""
        told = {each["worker"]: each["pid"] for each in self._bridge.events("worker.started")}
        return told if len(self._bridge.events("process.started")) >= len(told) else {}

    def spare_waits(self) -> bool:
        """Whether a loaded process waits for a number."""
        started = {each["pid"] for each in self._bridge.events("worker.started")}
        return any(each["pid"] not in started for each in self._bridge.events("worker.waiting"))

    def kill(self, number: int) -> float:
        """Kills a worker; returns after how many seconds its follower served."""
        killed = time.time()
        os.kill(self.pids()[number], signal.SIGKILL)

        def back() -> list[float]:
            served = [each for each in self._bridge.events("process.started") if each["worker"] == number]
            return [since for each in served if (since := _time(each) - killed) > 0]

        return wait_for(back, bool, bound_s=30)[0]


def _time(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["timestamp"]).timestamp()


@pytest.fixture
def bridge(rig: Rig) -> Running:
    return rig.bridge(NOBODY, workers=WORKERS)


@pytest.fixture
def crew(bridge: Running) -> Crew:
    made = Crew(bridge)
    wait_for(lambda: len(bridge.events("process.started")), lambda count: count == WORKERS, bound_s=30)
    return made


def test_a_killed_worker_is_missed_by_nobody(tmp_path: Path, bridge: Running, crew: Crew, long: bool, report: Reporter):
    kills = 12 if long else 2
    rps = (LONG_RPS if long else SHORT_RPS) // 2  # for each of the two callers
    back_s: list[float] = []
    with ExitStack() as closing:
        config = f'grpc_config=[{{"serviceConfig":{documented_config()}}}]'
        names = closing.enter_context(NameServer(["127.0.0.1"], config))
        name = f"dns://{names.authority}/bridge.test:{bridge.grpc_port}"
        go = closing.enter_context(GoCaller(name, rps, kills * KILL_S, CHANNELS, tmp_path))
        # It cannot be told to reconnect soon: one that is refused while it connects waits a second, retries or not.
        wait_for(lambda: read_metrics(bridge.http_port).total("feed_bridge_requests_total"), bool)
        python = closing.enter_context(PythonCaller(bridge.target, rps, CHANNELS))
        while len(back_s) < kills or go.running:
            wait_for(crew.spare_waits, bool, bound_s=30)
            back_s.append(crew.kill(len(back_s) % WORKERS + 1))
        outcomes = {"python": python.finish(), "grpc_go": go.finish(30.0)}
    metrics = read_metrics(bridge.http_port)
    seen = {number for number in crew.pids() if metrics.total("process_open_fds", worker=str(number))}

    failed = sum(each.failed for each in outcomes.values())
    shed = sum(each.shed for each in outcomes.values())
    report(
        "R13",
        f"workers of {WORKERS} SIGKILLed one after the other",
        target=TARGET,
        met=failed == 0 and shed == 0 and max(back_s) <= 2,
        kills=len(back_s),
        longest_back_s=max(back_s),
        failed=failed,
        shed=shed,
        statuses=str({name: each.statuses for name, each in outcomes.items()}),
        python_calls=outcomes["python"].calls,
        python_max_ms=outcomes["python"].max_ms,
        grpc_go_calls=outcomes["grpc_go"].calls,
        grpc_go_retried=outcomes["grpc_go"].retried,
        grpc_go_max_ms=outcomes["grpc_go"].max_ms,
    )
    assert failed == 0, outcomes
    assert seen == set(range(1, WORKERS + 1)), "a worker is missing from the metrics of another"
    assert bridge.stop() == 0


def test_workers_do_not_outlive_their_parent(bridge: Running, crew: Crew):
    pids = crew.pids().values()
    bridge.kill()
    wait_for(lambda: [pid for pid in pids if Path(f"/proc/{pid}").exists()], lambda left: not left)
    listen("127.0.0.1", bridge.grpc_port).close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("shared", [pytest.param(False, id="alone"), pytest.param(True, id="with SO_REUSEPORT")])
def test_a_foreign_process_on_the_port_makes_boot_fail_loudly(rig: Rig, workers: int, shared: bool):
    with listen("127.0.0.1", 0, shared=shared) as foreign:
        port = foreign.getsockname()[1]
        ended = _boot(rig, FEED_BRIDGE_GRPC_PORT=str(port), FEED_BRIDGE_WORKERS=str(workers))
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stdout
    assert "process.started" not in ended.stdout


def test_wrong_settings_are_said_once(rig: Rig):
    ended = _boot(rig, FEED_BRIDGE_WORKERS="3", FEED_BRIDGE_DEADLINE_MS="1")
    assert ended.returncode == 2
    assert ended.stderr.count("FEED_BRIDGE_DEADLINE_MS") == 1


def _boot(rig: Rig, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a bridge that cannot start to its end."""
    environ = bare_environ()
    environ |= {"FEED_DATA_DIR": str(rig.folder), "FEED_BRIDGE_HTTP_PORT": "0", "FEED_BRIDGE_GRPC_PORT": "0"}
    command = [sys.executable, "-m", "bridge"]
    return subprocess.run(
        command, env=environ | settings, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
