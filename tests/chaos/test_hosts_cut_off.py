"""Seven hosts, each with an address of its own: one after the other is cut off for a while, and comes back."""

import operator
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from runtime.access import api_keys
from tests.chaos.conftest import Reporter
from tests.chaos.either_caller import EitherCaller
from tests.chaos.events import Stream
from tests.chaos.hosts import Host, hosts
from tests.chaos.ingest_rig import ledger_of
from tests.chaos.kafka_cluster import Cluster, cluster
from tests.chaos.processes import Running
from tests.chaos.rig import publish
from tests.chaos.sender import KEY_VARIABLE
from tests.chaos.sending import Sender, new_run
from tests.chaos.stores import Table, read_topic
from tests.chaos.watching import read_metrics
from tests.integration.bridge.conftest import fill
from tests.polling import wait_for
from tests.secret_files import write_secret
from tests.system import free_ports

pytestmark = pytest.mark.kafka

TARGET: Final = "0 calls without a page; 0 lost; 0 doubled; personal again after"
BRIDGES, SCORERS, BROKERS = ("bridge1", "bridge2"), ("scorer1", "scorer2"), ("broker1", "broker2", "broker3")
# Each host has addresses enough for the same ports on all.
GRPC_PORT, HTTP_PORT = 9000, 8000
BOUND_S: Final = 120.0


@dataclass
class Fleet:
    """What runs on the hosts.

    Args:
        on: The hosts, by their names.
        kafka: The brokers.
        bridges: The bridges, by the names of their hosts.
        interactions: Takes events, on the first bridge's host.
        table: Where the sink puts them.
    """

    on: Mapping[str, Host]
    kafka: Cluster
    bridges: Mapping[str, Running]
    interactions: Running
    table: Table

    def does_its_part(self, name: str) -> bool:
        """Says whether a host does what it is there for, as those see it who depend on it."""
        if name in BROKERS:
            return self.kafka.is_whole()
        if name in BRIDGES:
            return _answers(self.bridges[name])
        target = f"{self.on[name].address}:{GRPC_PORT}"
        before = self._ranked_by(target)
        time.sleep(1.0)  # a rate takes time to measure
        return all(now > then for then, now in zip(before, self._ranked_by(target), strict=True))

    def _ranked_by(self, target: str) -> list[float]:
        samples = [read_metrics(HTTP_PORT, bridge.place.address) for bridge in self.bridges.values()]
        return [sample.total("feed_bridge_attempts_total", target=target, outcome="ok") for sample in samples]


def _answers(bridge: Running) -> bool:
    try:
        with socket.create_connection((bridge.place.address, bridge.grpc_port), timeout=1.0):
            return True
    except OSError:
        return False


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    with ExitStack() as closing:
        on = closing.enter_context(hosts(*BRIDGES, *SCORERS, *BROKERS))
        kafka = closing.enter_context(cluster(tmp_path / "kafka", [on[name] for name in BROKERS]))
        url = f"sqlite:///{tmp_path / 'feed.db'}"
        fill(url)
        publish(tmp_path)
        keys = tmp_path / "keys"
        monkeypatch.setenv(KEY_VARIABLE, api_keys.create(keys / "api_keys.json", "caller", ["admin"]))
        write_secret(keys / "scorer.key", api_keys.create(keys / "api_keys.json", "bridge", ["scoring:rank"]))
        # What an operator brings to every host.
        environ = {
            "FEED_DATABASE_URL": url,
            "FEED_DRAIN_DELAY_MS": "0",
            "FEED_KAFKA_BOOTSTRAP_SERVERS": kafka.config["bootstrap.servers"],
            "FEED_AUTH": "keys",
            "FEED_AUTH_API_KEYS_FILE": str(keys / "api_keys.json"),
            "FEED_SCORER_MODELS_DIR": str(tmp_path / "models"),
            "FEED_SCORER_MODEL_PUBLIC_KEY_PATH": str(keys / "model_signing.pub"),
            "FEED_SCORER_TARGETS": ",".join(f"{on[name].address}:{GRPC_PORT}" for name in SCORERS),
            "FEED_BRIDGE_SCORER_KEY_FILE": str(keys / "scorer.key"),
            "FEED_BRIDGE_TOKEN_KEY_PATH": str(keys / "token.key"),
            "FEED_BRIDGE_SEEN_SERVED_H": "0",
        }

        def started(package: str, host: Host, places: tuple[int, int]) -> Running:
            named = {"HOST": host.address, "GRPC_PORT": str(places[0]), "HTTP_PORT": str(places[1])}
            told = environ | {f"FEED_{package.upper()}_{name}": value for name, value in named.items()}
            told["FEED_DATA_DIR"] = str(tmp_path / host.name)
            process = Running(f"{package}-{host.name}", ("-m", package), told, tmp_path, *places, host.place)
            closing.callback(process.stop)
            process.launch()
            return process

        scorers = [started("scorer", on[name], (GRPC_PORT, HTTP_PORT)) for name in SCORERS]
        bridges = {name: started("bridge", on[name], (GRPC_PORT, HTTP_PORT)) for name in BRIDGES}
        interactions = started("interactions", on[BRIDGES[0]], (GRPC_PORT + 1, HTTP_PORT + 1))
        port = next(free_ports())
        told = environ | {"FEED_SINK_HTTP_PORT": str(port), "FEED_DATA_DIR": str(tmp_path / "sink")}
        sink = Running("sink", ("-m", "interactions.sink"), told, tmp_path, 0, port)
        closing.callback(sink.stop)
        sink.launch()
        for process in (*scorers, *bridges.values(), interactions, sink):
            process.wait_until_ready()
        table = Table(url)
        closing.callback(table.close)
        yield Fleet(on, kafka, bridges, interactions, table)


def test_hosts_are_cut_off_in_turn(tmp_path: Path, fleet: Fleet, long: bool, report: Reporter):
    rounds, cut_s, rps, rate = (3, 30.0, 150, 1_000.0) if long else (1, 4.0, 40, 100.0)
    stream = Stream(new_run())
    back_s: dict[str, float] = {}
    targets = [bridge.target for bridge in fleet.bridges.values()]
    sender = Sender(fleet.interactions.target, tmp_path, stream, rate, drain_s=BOUND_S)
    try:
        with EitherCaller(targets, rps) as caller:
            wait_for(lambda: len(sender.attempts().acknowledged), bool, BOUND_S)
            for name in (SCORERS[1], BROKERS[2], BRIDGES[1]) * rounds:
                back_s[name] = max(back_s.get(name, 0.0), _cut_off(fleet, name, cut_s))
            told = caller.finish()
        attempts = sender.stop()
    finally:
        sender.kill()
    ledger = ledger_of(stream, attempts)
    wait_for(lambda: ledger.acknowledged <= fleet.table.ids(), bool, BOUND_S)
    findings = ledger.judge(read_topic(fleet.kafka.config), list(fleet.table.rows()))

    report(
        "hosts",
        f"a scorer, a broker and a bridge of seven hosts cut off for {cut_s:g} s each, {rounds} times",
        target=TARGET,
        met=told.whole == told.calls and findings.right,
        calls=told.calls,
        without_page=told.calls - told.whole,
        asked_again=told.again,
        personal=told.personal / told.calls,
        max_ms=told.max_ms,
        **{f"{name}_back_s": seconds for name, seconds in back_s.items()},
        **findings.figures(),
    )
    assert told.whole == told.calls, told
    assert findings.acknowledged
    assert findings.right, findings.wrong


def _cut_off(fleet: Fleet, name: str, cut_s: float) -> float:
    """Cuts a host off, and lets others do without it for a while; returns how long it took to come back, in seconds."""
    fleet.on[name].cut()
    wait_for(partial(fleet.does_its_part, name), operator.not_, BOUND_S)
    time.sleep(cut_s)
    fleet.on[name].mend()
    mended = time.monotonic()
    wait_for(partial(fleet.does_its_part, name), bool, BOUND_S)
    return time.monotonic() - mended
