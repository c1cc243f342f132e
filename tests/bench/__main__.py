"""`make bench`: P01 to P04 and P07, each against its bare reference measured in the same run, a JSON line each."""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.kafka import LocalKafka
from eventlog.topics import apply
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2
from tests.bench import echo, ghz
from tests.polling import wait_for
from tests.system import System, free_ports

# A and B in turn, so that a machine that drifts does so for both; the median ratio is quoted.
ROUNDS = 3
SECONDS = "5s"
EVENTS_A_BATCH = 100

MANY = ("-c", "16", "--connections", "4", "-z", SECONDS)
ONE = ("-c", "1", "--connections", "1", "-z", SECONDS)

FEED = "feed.recommendations.v1.RecommendationService/GetRecommendations"
RECORD = "feed.interactions.v1.InteractionService/RecordInteractions"


def main() -> None:
    """Starts what is measured, measures, stops it."""
    ghz.find()
    with tempfile.TemporaryDirectory() as folder:
        with _echo(Path(folder) / "echo") as reference:
            for workers in (1, 2):
                with _system(Path(folder) / f"feed-{workers}", FEED_BRIDGE_WORKERS=str(workers)) as system:
                    _throughput(Feed(system.grpc_port("bridge"), reference), workers)
                    if workers == 1:
                        _latency(Feed(system.grpc_port("bridge"), reference))
                        _degraded(system, Feed(system.grpc_port("bridge"), reference))
        with (
            _kafka(Path(folder) / "kafka") as kafka,
            _system(Path(folder) / "ingest", FEED_KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers) as system,
        ):
            _ingest_figure(system.grpc_port("interactions"), kafka.bootstrap_servers)


@dataclass(frozen=True, slots=True)
class Echo:
    """The bare references: the port that answers itself, the one that asks another, and their contract."""

    one_hop: int
    two_hops: int
    proto: Path


@dataclass(frozen=True, slots=True)
class Feed:
    """A bridge under load beside its references."""

    bridge: int
    echo: Echo

    def ask(self, *arguments: str) -> ghz.Load:
        return ghz.run(self.bridge, FEED, "-d", '{"user_id":"u{{randomInt 1 500}}","page_size":20}', *arguments)

    def bare(self, port: int, *arguments: str) -> ghz.Load:
        data = '{"user_id":"u","limit":20}'
        return ghz.run(port, "echo.Echo.Get", "-d", data, *arguments, proto=self.echo.proto)


def _throughput(feed: Feed, workers: int) -> None:
    feed.ask(*MANY)
    feed.bare(feed.echo.two_hops, *MANY)
    pairs = [(feed.ask(*MANY).rps, feed.bare(feed.echo.two_hops, *MANY).rps) for _ in range(ROUNDS)]
    what = f"throughput, 16 callers, 20 items, bridge workers: {workers}"
    _ratio("P01", what, "rps", pairs, at_least=1.0)


def _latency(feed: Feed) -> None:
    pairs = [(feed.ask(*ONE).p50_ms, feed.bare(feed.echo.two_hops, *ONE).p50_ms) for _ in range(ROUNDS)]
    _ratio("P02", "p50 with 1 caller", "ms", pairs, at_most=1.6)
    load = feed.ask("--async", "--rps", "300", "-c", "50", "--connections", "4", "-n", "3000")
    _print(
        "P03",
        "p99 at 300 rps, open loop, against the 150 ms deadline",
        value=load.p99_ms,
        unit="ms",
        reference=150.0,
        ratio=load.p99_ms / 150.0,
        target="p99 < 15 ms, 100 % in time",
        met=load.p99_ms < 15 and load.ok == load.total and load.max_ms <= 150,
        max_ms=round(load.max_ms, 2),
        ok=load.ok,
        calls=load.total,
    )


def _degraded(system: System, feed: Feed) -> None:
    system.feed("bridge", "breaker", "open")
    wait_for(lambda: system.page("u1").fallback_reason, recommendations_pb2.CIRCUIT_OPEN.__eq__, bound_s=10)
    pairs = [(feed.ask(*MANY).rps, feed.bare(feed.echo.one_hop, *MANY).rps) for _ in range(ROUNDS)]
    _ratio("P04", "throughput of trending pages while the breaker is open, 16 callers", "rps", pairs, at_least=0.8)


def _ingest_figure(port: int, bootstrap: str) -> None:
    with tempfile.NamedTemporaryFile(suffix=".bin") as batch:
        Path(batch.name).write_bytes(_batch())

        def ingest() -> float:
            load = ghz.run(port, RECORD, "-B", batch.name, "-c", "16", "--connections", "4", "-z", SECONDS)
            assert load.ok >= load.total - 16, f"{load.total - load.ok} batches failed"
            return load.rps * EVENTS_A_BATCH

        def bare() -> float:
            command = [sys.executable, "-m", "tests.bench.produce", bootstrap, "feed.served.v1", "200000"]
            return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

        ingest()
        bare()
        pairs = [(ingest(), bare()) for _ in range(ROUNDS)]
        _ratio("P07", "batch ingest, acknowledged and in Kafka", "events/s", pairs, at_least=0.4)


def _ratio(
    name: str,
    what: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    _print(
        name,
        what,
        value=statistics.median(mine for mine, _ in pairs),
        unit=unit,
        reference=statistics.median(theirs for _, theirs in pairs),
        ratio=ratio,
        target=f">= {at_least} x" if at_least else f"<= {at_most} x",
        met=(at_least is None or ratio >= at_least) and (at_most is None or ratio <= at_most),
    )


def _print(name: str, what: str, **figures: float | str | bool) -> None:
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    print(json.dumps({"figure": name, "what": what, **rounded}), flush=True)


def _batch() -> bytes:
    request = interactions_pb2.RecordInteractionsRequest()
    for index in range(EVENTS_A_BATCH):
        made = request.interactions.add(
            user_id=f"u{index}", video_id=f"v{index % 777}", interaction_type="VIEW", watch_time_s=12.5
        )
        made.timestamp.GetCurrentTime()
    return request.SerializeToString()


@contextlib.contextmanager
def _system(folder: Path, **environ: str) -> Iterator[System]:
    folder.mkdir()
    system = System(folder, environ=environ)
    system.start()
    try:
        wait_for(lambda: system.page("u1").source, lambda source: source == recommendations_pb2.LIGHTFM, bound_s=20)
        yield system
    finally:
        system.stop()


@contextlib.contextmanager
def _echo(folder: Path) -> Iterator[Echo]:
    folder.mkdir()
    back, front = (port for port, _ in zip(free_ports(), range(2), strict=False))
    script = str(Path(echo.__file__))
    servers = [
        subprocess.Popen([sys.executable, script, str(back)]),
        subprocess.Popen([sys.executable, script, str(front), str(back)]),
    ]
    proto = echo.generate(folder)
    try:
        yield Echo(back, front, proto)
    finally:
        for server in servers:
            server.terminate()
            server.wait()


@contextlib.contextmanager
def _kafka(folder: Path) -> Iterator[LocalKafka]:
    server = LocalKafka(folder)
    server.start()
    try:
        apply({"bootstrap.servers": server.bootstrap_servers})
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    main()
