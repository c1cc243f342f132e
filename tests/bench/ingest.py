"""P07 to P09: how fast the ingest service makes events durable."""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feed.interactions.v1 import interactions_pb2 as pb
from tests.bench import figures, ghz
from tests.chaos.processes import Running
from tests.chaos.watching import Sample, read_metrics
from tests.system import free_ports

PUBLISHED = "feed_interactions_publish_duration_seconds_count"
RECORD = "feed.interactions.v1.InteractionService/RecordInteraction"
ROUNDS = 3
BATCH_EVENTS = 200_000
# What Gorse, the fastest peer measured, imports into its database.
GORSE_EVENTS_PER_S = 36_000
# P09: 2,000 events a second in batches of 20, as the trackers of an app send them.
STEADY_EVENTS = 40_000
STEADY_BATCH = 20
STEADY_BATCHES_PER_S = 100
LATENCY_LIMIT_MS = 50.0
LATENCY_TARGET_MS = 15.0

MANY = ("-c", "16", "--connections", "4", "-z", "5s")


@contextlib.contextmanager
def service(folder: Path, bootstrap_servers: str = "") -> Iterator["Ingest"]:
    """Runs an ingest service alone: neither sink nor bridge share its cores. No brokers: on the embedded journal."""
    folder.mkdir()
    grpc_port, http_port = (port for port, _ in zip(free_ports(), range(2), strict=False))
    environ = {
        "FEED_DATA_DIR": str(folder),
        "FEED_DRAIN_DELAY_MS": "0",
        "FEED_INTERACTIONS_GRPC_PORT": str(grpc_port),
        "FEED_INTERACTIONS_HTTP_PORT": str(http_port),
        "FEED_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        # All unary events are of one user.
        "FEED_LIMIT_USER_RPS": "0",
        "FEED_LIMIT_PEER_RPS": "0",
    }
    process = Running("interactions", ("-m", "interactions"), environ, folder, grpc_port, http_port)
    process.start()
    try:
        yield Ingest(process, bootstrap_servers)
    finally:
        process.stop()


class Ingest:
    """An ingest service under load.

    Args:
        process: The service.
        bootstrap_servers: Of the broker behind it.
    """

    def __init__(self, process: Running, bootstrap_servers: str) -> None:
        self._process = process
        self._bootstrap_servers = bootstrap_servers

    def load(self, events: int, *arguments: str) -> dict[str, float]:
        """Sends so many events in batches; fails unless each was accepted."""
        before = self.sample()
        told: dict[str, float] = _run("tests.bench.ingest_load", str(self._process.grpc_port), str(events), *arguments)
        after = self.sample()
        assert told["failed"] == 0, f"{told['failed']:.0f} batches failed"
        assert before.growth(after, "feed_interactions_events_total", status="ACCEPTED") == events
        calls = before.growth(after, PUBLISHED)
        cpu_us = before.growth(after, "process_cpu_seconds_total") / events * 1e6
        journalled = before.growth(after, PUBLISHED, durability="JOURNAL") / calls
        return told | {"service_cpu_us_per_event": cpu_us, "journalled_share": journalled}

    def bare(self, events: int) -> float:
        """Returns the events a second that librdkafka alone brings to the same broker."""
        return float(_run("tests.bench.produce", self._bootstrap_servers, "feed.served.v1", str(events)))

    def unary(self) -> ghz.Load:
        """Sends events one a call, from 16 callers; without an id each of them is a new one."""
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            Path(file.name).write_bytes(_one_event())
            load = ghz.run(self._process.grpc_port, RECORD, "-B", file.name, *MANY)
        assert load.ok >= load.total - 16, f"{load.total - load.ok} events failed"  # those cut off at the end
        return load

    def sample(self) -> Sample:
        """Reads its metrics."""
        return read_metrics(self._process.http_port)


def batch_figure(ingest: Ingest) -> None:
    """P07: batches as fast as they go, against librdkafka alone with the same bytes."""
    ingest.load(BATCH_EVENTS // 10)
    ingest.bare(BATCH_EVENTS // 10)
    pairs = []
    for _ in range(ROUNDS):
        told = ingest.load(BATCH_EVENTS)
        pairs.append((BATCH_EVENTS / told["elapsed_s"], ingest.bare(BATCH_EVENTS)))
    rate = statistics.median(mine for mine, _ in pairs)
    figures.ratio(
        "P07",
        "batch ingest, acknowledged and in Kafka, one process",
        "events/s",
        pairs,
        at_least=0.4,
        faster_than_gorse=rate > GORSE_EVENTS_PER_S,
        service_cpu_us_per_event=told["service_cpu_us_per_event"],
        client_cpu_us_per_event=told["cpu_s"] / BATCH_EVENTS * 1e6,
        journalled_share=told["journalled_share"],
    )


def unary_figure(log: str, ingest: Ingest, echo_port: int, echo_proto: Path) -> None:
    """P08: one event a call, against an echo that does nothing."""

    def bare() -> float:
        return ghz.run(echo_port, "echo.Echo.Get", "-d", '{"user_id":"u","limit":20}', *MANY, proto=echo_proto).rps

    ingest.unary()
    bare()
    pairs = [(ingest.unary().rps, bare()) for _ in range(ROUNDS)]
    figures.ratio("P08", f"unary ingest, acknowledged by {log}, 16 callers", "events/s", pairs, at_least=0.7)


def latency_figure(ingest: Ingest) -> None:
    """P09: how long a caller waits for the acknowledgement at 2,000 events a second, open loop."""
    steady = ("--batch", str(STEADY_BATCH), "--rps", str(STEADY_BATCHES_PER_S))
    ingest.load(STEADY_EVENTS // 10, *steady)
    told = ingest.load(STEADY_EVENTS, *steady)
    figures.show(
        "P09",
        "P95 from the call to its acknowledgement at 2,000 events/s, acks=all, open loop",
        value=told["p95_ms"],
        unit="ms",
        reference=LATENCY_LIMIT_MS,
        ratio=told["p95_ms"] / LATENCY_LIMIT_MS,
        target=f"P95 < {LATENCY_TARGET_MS:g} ms",
        met=told["p95_ms"] < LATENCY_TARGET_MS,
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
    )


def _run(module: str, *arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _one_event() -> bytes:
    request = pb.RecordInteractionRequest()
    request.interaction.user_id, request.interaction.video_id = "u1", "v1"
    request.interaction.interaction_type, request.interaction.watch_time_s = pb.VIEW, 12.5
    request.interaction.timestamp.GetCurrentTime()
    return request.SerializeToString()
