"""`make bench`: P01, P02, P03 and P07, each against its bare reference measured in the same run, a JSON line each."""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
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

FEED = "feed.recommendations.v1.RecommendationService/GetRecommendations"
RECORD = "feed.interactions.v1.InteractionService/RecordInteractions"


def main() -> None:
    """Starts what is measured, measures, stops it."""
    ghz.find()
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.ExitStack() as stack:
            system = stack.enter_context(_system(Path(folder) / "feed"))
            port, proto = stack.enter_context(_echo(Path(folder) / "echo"))
            _feed_figures(system.grpc_port("bridge"), port, proto)
        with (
            _kafka(Path(folder) / "kafka") as kafka,
            _system(Path(folder) / "ingest", kafka.bootstrap_servers) as system,
        ):
            _ingest_figure(system.grpc_port("interactions"), kafka.bootstrap_servers)


def _feed_figures(bridge: int, reference: int, proto: Path) -> None:
    users = '{"user_id":"u{{randomInt 1 500}}","page_size":20}'

    def feed(*arguments: str) -> ghz.Load:
        return ghz.run(bridge, FEED, "-d", users, *arguments)

    def bare(*arguments: str) -> ghz.Load:
        return ghz.run(reference, "echo.Echo.Get", "-d", '{"user_id":"u","limit":20}', *arguments, proto=proto)

    many = ("-c", "16", "--connections", "4", "-z", SECONDS)
    one = ("-c", "1", "--connections", "1", "-z", SECONDS)
    feed(*many)
    bare(*many)
    throughput = [(feed(*many).rps, bare(*many).rps) for _ in range(ROUNDS)]
    _ratio("P01", "throughput, 16 callers, 20 items", "rps", throughput, at_least=1.0)
    median = [(feed(*one).p50_ms, bare(*one).p50_ms) for _ in range(ROUNDS)]
    _ratio("P02", "p50 with 1 caller", "ms", median, at_most=1.6)
    load = feed("--async", "--rps", "300", "-c", "50", "--connections", "4", "-n", "3000")
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
def _system(folder: Path, bootstrap: str = "") -> Iterator[System]:
    folder.mkdir()
    system = System(folder, environ={"FEED_KAFKA_BOOTSTRAP_SERVERS": bootstrap})
    system.start()
    try:
        wait_for(lambda: system.page("u1").source, lambda source: source == recommendations_pb2.LIGHTFM, bound_s=20)
        yield system
    finally:
        system.stop()


@contextlib.contextmanager
def _echo(folder: Path) -> Iterator[tuple[int, Path]]:
    folder.mkdir()
    back, front = (port for port, _ in zip(free_ports(), range(2), strict=False))
    script = str(Path(echo.__file__))
    servers = [
        subprocess.Popen([sys.executable, script, str(back)]),
        subprocess.Popen([sys.executable, script, str(front), str(back)]),
    ]
    proto = echo.generate(folder)
    try:
        yield front, proto
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
