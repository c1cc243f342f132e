"""`make bench`: each figure against its bare reference measured in the same run, a JSON line each.

`python -m tests.bench P07 P09` measures only these; `export`, `answers` and P11 are measured only when they are named.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local.kafka import LocalKafka
from deploy.topics import declared
from eventlog.topics import apply
from feed.recommendations.v1 import recommendations_pb2
from tests.bench import access, answers, echo, export, figures, fit, ghz, history, ingest, one_core, sink, traces
from tests.polling import wait_for
from tests.system import System, free_ports

# A and B in turn, so that a machine that drifts does so for both; the median ratio is quoted.
ROUNDS = 3
SECONDS = "5s"

MANY = ("-c", "16", "--connections", "4", "-z", SECONDS)
ONE = ("-c", "1", "--connections", "1", "-z", SECONDS)

FEED = "feed.recommendations.v1.RecommendationService/GetRecommendations"

FEED_FIGURES = ("P01", "P02", "P03", "P04")
TOP_K_FIGURES = ("P05", "P06")
INGEST_FIGURES = ("P07", "P08", "P09")
SINK_FIGURES = ("P10",)
HISTORY_FIGURES = ("history",)
ACCESS_FIGURES = ("access",)
TRACES_FIGURES = ("traces",)
EXPORT_FIGURES = ("export",)
ANSWER_FIGURES = ("answers",)
FIT_FIGURES = ("P11",)


def main() -> None:
    """Starts what is measured, measures, stops it."""
    wanted = set(sys.argv[1:]) or {
        *FEED_FIGURES,
        *TOP_K_FIGURES,
        *INGEST_FIGURES,
        *SINK_FIGURES,
        *HISTORY_FIGURES,
        *ACCESS_FIGURES,
        *TRACES_FIGURES,
    }
    _measure_alone(wanted)
    if wanted <= {*TOP_K_FIGURES, *EXPORT_FIGURES, *ANSWER_FIGURES, *ACCESS_FIGURES, *TRACES_FIGURES, *FIT_FIGURES}:
        return
    ghz.find()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _echo(folder / "echo") as reference:
            if wanted & {*FEED_FIGURES}:
                _measure_feed(folder, reference, wanted)
            if wanted & {*INGEST_FIGURES}:
                _measure_ingest(folder, reference, wanted)
        if wanted & {*SINK_FIGURES}:
            with _kafka(folder / "kafka-of-the-sink") as kafka:
                sink.figure(folder, kafka)
        if wanted & {*HISTORY_FIGURES}:
            history.figure(folder / "history")


def _measure_alone(wanted: set[str]) -> None:
    """Measures what needs no load generator."""
    if wanted & {*TOP_K_FIGURES}:
        one_core.run("tests.bench.top_k", *sorted(wanted & {*TOP_K_FIGURES}))
    if wanted & {*FIT_FIGURES}:
        fit.figure()
    for names, figure in (
        (EXPORT_FIGURES, export.figure),
        (ANSWER_FIGURES, answers.figure),
        (ACCESS_FIGURES, access.figure),
        (TRACES_FIGURES, traces.figure),
    ):
        if wanted & {*names}:
            with tempfile.TemporaryDirectory() as name:
                figure(Path(name))


def _measure_feed(folder: Path, reference: "Echo", wanted: set[str]) -> None:
    for workers in (1, 2):
        with _system(folder / f"feed-{workers}", FEED_BRIDGE_WORKERS=str(workers)) as system:
            feed = Feed(system.grpc_port("bridge"), reference)
            if "P01" in wanted:
                _throughput(feed, workers)
            if workers == 1 and wanted & {"P02", "P03"}:
                _latency(feed)
            if workers == 1 and "P04" in wanted:
                _degraded(system, feed)


def _measure_ingest(folder: Path, reference: "Echo", wanted: set[str]) -> None:
    with _kafka(folder / "kafka") as kafka, ingest.service(folder / "ingest", kafka.bootstrap_servers) as measured:
        if "P07" in wanted:
            ingest.batch_figure(measured)
        if "P08" in wanted:
            ingest.unary_figure("Kafka", measured, reference.one_hop, reference.proto)
        if "P09" in wanted:
            ingest.latency_figure(measured)
    if "P08" in wanted:
        with ingest.service(folder / "embedded") as measured:
            ingest.unary_figure("the embedded journal", measured, reference.one_hop, reference.proto)


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
        """Asks for fresh pages of the 2,000 users of the simulated log."""
        return ghz.run(self.bridge, FEED, "-d", '{"user_id":"u{{randomInt 1 2001}}","page_size":20}', *arguments)

    def bare(self, port: int, *arguments: str) -> ghz.Load:
        data = '{"user_id":"u","limit":20}'
        return ghz.run(port, "echo.Echo.Get", "-d", data, *arguments, proto=self.echo.proto)


def _throughput(feed: Feed, workers: int) -> None:
    feed.ask(*MANY)
    feed.bare(feed.echo.two_hops, *MANY)
    pairs = [(feed.ask(*MANY).rps, feed.bare(feed.echo.two_hops, *MANY).rps) for _ in range(ROUNDS)]
    what = f"throughput, 16 callers, 20 items, bridge workers: {workers}"
    figures.ratio("P01", what, "rps", pairs, at_least=1.0)


def _latency(feed: Feed) -> None:
    pairs = [(feed.ask(*ONE).p50_ms, feed.bare(feed.echo.two_hops, *ONE).p50_ms) for _ in range(ROUNDS)]
    figures.ratio("P02", "p50 with 1 caller", "ms", pairs, at_most=1.6)
    load = feed.ask("--async", "--rps", "300", "-c", "50", "--connections", "4", "-n", "3000")
    figures.show(
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
    figures.ratio(
        "P04", "throughput of trending pages while the breaker is open, 16 callers", "rps", pairs, at_least=0.8
    )


@contextlib.contextmanager
def _system(folder: Path, **environ: str) -> Iterator[System]:
    folder.mkdir()
    system = System(folder, environ=environ)
    system.start()
    try:
        wait_for(lambda: system.page("u1").source, lambda source: source == recommendations_pb2.LIGHTFM, bound_s=20)
        # What was served is told all the same; to bring it into the database is the work of another machine.
        os.kill(system.pid("sink"), signal.SIGSTOP)
        yield system
    finally:
        os.kill(system.pid("sink"), signal.SIGCONT)
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
        apply({"bootstrap.servers": server.bootstrap_servers}, specs=declared().topics)
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    main()
