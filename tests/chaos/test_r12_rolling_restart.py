"""R12: two bridges are restarted in turn, again and again; callers with the documented settings notice nothing."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.callers import GoCaller, PythonCaller, documented_config
from tests.chaos.conftest import Reporter
from tests.chaos.name_server import NameServer
from tests.chaos.processes import Place, Running
from tests.chaos.rig import LONG_RPS, SHORT_RPS
from tests.http import call_now
from tests.integration.bridge.conftest import fill
from tests.polling import wait_for
from tests.system import free_ports

TARGET = "0 failed; exit 0; <= 10 s each"
# Of one port, because a name has addresses and no ports.
HOSTS = ("127.0.0.1", "127.0.0.2")
CHANNELS = 2
# A guess of one restart: as long as grpc-go calls, the restarts go on.
RESTART_S = 5.0


class Gateway(Running):
    """A bridge on an address of its own."""

    def __init__(self, host: str, ports: tuple[int, int], folder: Path) -> None:
        environ: Mapping[str, str] = {
            "FEED_DATA_DIR": str(folder),
            "FEED_SCORER_TARGETS": "127.0.0.1:1",  # nobody is there: its pages are trending
            "FEED_BRIDGE_HOST": host,
            "FEED_BRIDGE_GRPC_PORT": str(ports[0]),
            "FEED_BRIDGE_HTTP_PORT": str(ports[1]),
        }
        super().__init__(f"bridge-{host}", ("-m", "bridge"), environ, folder, *ports, Place(host))

    def answered(self) -> float:
        """Returns how many calls it has answered."""
        lines = call_now(self.http_port, "GET", "/metrics", address=self.place.address).text.splitlines()
        series = [line for line in lines if line.startswith("grpc_server_handled_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in series if '"GetRecommendations"' in line)


@pytest.fixture
def gateways(tmp_path: Path) -> list[Gateway]:
    fill(f"sqlite:///{tmp_path / 'feed.db'}")
    grpc_port, http_port, *_ = (port for port, _ in zip(free_ports(), range(2), strict=False))
    return [Gateway(host, (grpc_port, http_port), tmp_path) for host in HOSTS]


def test_a_rolling_restart_fails_nobody(tmp_path: Path, gateways: list[Gateway], long: bool, report: Reporter):
    restarts = 20 if long else 2
    rps = (LONG_RPS if long else SHORT_RPS) // 2  # for each of the two callers
    port = gateways[0].grpc_port
    stops: list[tuple[int, float]] = []
    with ExitStack() as closing:
        for gateway in gateways:
            closing.callback(gateway.stop)
            gateway.launch()
        for gateway in gateways:
            gateway.wait_until_ready()
        names = closing.enter_context(NameServer(HOSTS, f'grpc_config=[{{"serviceConfig":{documented_config()}}}]'))
        both = "ipv4:" + ",".join(f"{host}:{port}" for host in HOSTS)
        python = closing.enter_context(PythonCaller(both, rps, CHANNELS))
        name = f"dns://{names.authority}/bridges.test:{port}"
        go = closing.enter_context(GoCaller(name, rps, restarts * RESTART_S, CHANNELS, tmp_path))
        while len(stops) < restarts or go.running:
            gateway = gateways[len(stops) % 2]
            wait_for(lambda: _balanced(gateways), bool, bound_s=30)
            stops.append(_restart(gateway))
        outcomes = {"python": python.finish(), "grpc_go": go.finish(30.0)}

    failed = sum(each.failed for each in outcomes.values())
    shed = sum(each.shed for each in outcomes.values())
    longest_s = max(seconds for _, seconds in stops)
    report(
        "R12",
        "rolling SIGTERM of 2 bridges",
        target=TARGET,
        met=failed == 0 and shed == 0 and longest_s <= 10,
        restarts=len(stops),
        longest_stop_s=longest_s,
        failed=failed,
        shed=shed,
        python_calls=outcomes["python"].calls,
        python_max_ms=outcomes["python"].max_ms,
        grpc_go_calls=outcomes["grpc_go"].calls,
        grpc_go_retried=outcomes["grpc_go"].retried,
        grpc_go_max_ms=outcomes["grpc_go"].max_ms,
    )
    assert [code for code, _ in stops] == [0] * len(stops)
    assert failed == 0, outcomes


def _balanced(gateways: Sequence[Gateway]) -> bool:
    """Tells whether all callers have found both; a rate takes time to measure."""
    before = [each.answered() for each in gateways]
    time.sleep(0.5)
    first, second = (each.answered() - count for each, count in zip(gateways, before, strict=True))
    return min(first, second) > 0.7 * max(first, second)


def _restart(gateway: Gateway) -> tuple[int, float]:
    """Ends it as an operator does and starts it again; returns its exit code and how long the end took."""
    start = time.monotonic()
    code = gateway.stop()
    took_s = time.monotonic() - start
    gateway.start()
    return code, took_s
