"""What a fault test of the interactions stands on: broker, database, services, load, and the ledger of it."""

import functools
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.kafka import LocalKafka
from deploy.local.process import free_port
from tests.chaos.beside import Beside
from tests.chaos.events import Stream
from tests.chaos.figures import Figure
from tests.chaos.ledger import Findings, Ledger, trend
from tests.chaos.memory import rss_mb
from tests.chaos.processes import Running
from tests.chaos.sender import Attempt
from tests.chaos.sending import Attempts, Sender, new_run
from tests.chaos.stores import Table, read_topic, sizing
from tests.chaos.watching import Sample, read_metrics
from tests.polling import wait_for
from tests.system import free_ports

LONG_RATE: Final = 2_000.0
SHORT_RATE: Final = 300.0
# How long the sender goes on with what is not acknowledged, and the sink may then take.
LONG_BOUND_S: Final = 300.0
SHORT_BOUND_S: Final = 120.0
WATCH_EVERY_S: Final = 0.5
COMMON: Final = {"FEED_DRAIN_DELAY_MS": "0"}


@dataclass(frozen=True, slots=True)
class Size:
    """How large the ingest service was at an instant, in monotonic seconds and megabytes of 10^6 bytes."""

    time_s: float
    rss_mb: float
    journal_mb: float


class SizeWatch(Beside):
    """Looks at a process and its journal twice a second, from `with` to its end.

    Args:
        process: The process; while it is not there, nothing is seen.
        journal: Its folder.
    """

    def __init__(self, process: Running, journal: Path) -> None:
        super().__init__()
        self._process = process
        self._journal = journal
        self.sizes: list[Size] = []

    def rss_mb(self, start_s: float, end_s: float = math.inf) -> float:
        """Returns the largest size in memory between two instants; 0 when none was seen."""
        return max((each.rss_mb for each in self.sizes if start_s <= each.time_s < end_s), default=0.0)

    def journal_mb(self) -> float:
        """Returns the largest size of the journal."""
        return max((each.journal_mb for each in self.sizes), default=0.0)

    def run(self) -> None:
        """Looks."""
        while not self.ended.wait(WATCH_EVERY_S):
            with suppress(OSError, StopIteration):
                self.sizes.append(Size(time.monotonic(), rss_mb(self._process.pid), size_mb(self._journal)))


@dataclass
class IngestRun:
    """A run under load; all instants are monotonic seconds.

    Args:
        interactions: Who takes the events.
        sender: Who sends them.
        watch: What is seen of the service.
        table: The database.
        stream: What is sent.
        kafka: How to connect to the broker.
        bound_s: How long anything may take to come right again.
        attempts: All of the sender's, once the run is over.
        findings: What the ledger found, once the run is over.
        trending_off: By how much what trends differs from what the rows add up to, as a share.
    """

    interactions: Running
    sender: Sender
    watch: SizeWatch
    table: Table
    stream: Stream
    kafka: Mapping[str, str]
    bound_s: float
    attempts: Attempts = field(default_factory=lambda: Attempts(()))
    findings: Findings | None = None
    trending_off: float = 0.0

    def pause(self, seconds: float) -> float:
        """Lets the load go on; returns the instant after. Not a wait for something: a duration."""
        time.sleep(seconds)
        return time.monotonic()

    def until_acknowledged(self, start_s: float, accept: Callable[[Attempt], bool] = lambda _: True) -> float:
        """Waits for an acknowledgement of a call made after an instant; returns when it came."""

        def found() -> Attempt | None:
            made = self.sender.attempts().since(start_s).acknowledged
            return next((each for each in made if accept(each)), None)

        attempt = wait_for(found, bool, self.bound_s)
        assert attempt is not None
        return attempt.end_s

    def until_in_kafka(self, start_s: float) -> float:
        """Waits until events go straight to Kafka again: nothing is left in the journal then; returns when it was."""
        return self.until_acknowledged(start_s, lambda each: each.durability == "KAFKA")

    def until_drained(self, back_s: float) -> float:
        """Waits until Kafka holds as many records as were acknowledged before an instant; returns when that was.

        Copies count too, so that it may be early by the time that they take.
        """
        made = self.sender.attempts().acknowledged
        owed = sum(each.count for each in made if each.end_s < back_s)
        with sizing(self.kafka) as size:
            wait_for(size, lambda records: records >= owed, self.bound_s)
        return time.monotonic()

    def sample(self) -> Sample:
        """Reads the metrics of the ingest service now."""
        return read_metrics(self.interactions.http_port)

    def finish(self) -> None:
        """Ends the load, waits until the database has it all, and judges."""
        self.attempts = self.sender.stop()
        ledger = ledger_of(self.stream, self.attempts)
        acknowledged = ledger.acknowledged
        with suppress(AssertionError):  # what is missing then is lost, and the ledger names it
            wait_for(self.table.count, lambda count: count >= len(acknowledged), self.bound_s)
            wait_for(lambda: acknowledged <= self.table.ids(), bool, self.bound_s)
        rows = list(self.table.rows())
        self.findings = ledger.judge(read_topic(self.kafka), rows)
        expected = trend(rows)
        self.trending_off = abs(self.table.trending() - expected) / max(expected, 1.0)

    def figures(self) -> dict[str, Figure]:
        """Returns what every run reports."""
        assert self.findings is not None
        return {
            **self.findings.figures(),
            "failed_calls": self.attempts.failed,
            "ack_p50_ms": self.attempts.latency_ms(0.5),
            "ack_p95_ms": self.attempts.latency_ms(0.95),
            "ack_max_ms": self.attempts.latency_ms(1.0),
            "sent_late_max_ms": max((each.late_ms for each in self.attempts), default=0.0),
        }

    @property
    def right(self) -> bool:
        """Whether every promise was kept, whatever the time it took."""
        return self.findings is not None and self.findings.right and self.trending_off < 1e-6

    def check(self) -> None:
        """Asserts the promise: no acknowledged event is lost, doubled, altered or out of its user's order."""
        assert self.findings is not None
        assert self.findings.acknowledged, "nothing was acknowledged"
        assert self.findings.sequential, "no user's events were sent one after the other: their order was not tested"
        assert self.findings.right, self.findings.wrong
        assert self.trending_off < 1e-6, f"what trends is off from what the rows add up to by {self.trending_off:.2%}"
        rejected = {each.reason for each in self.attempts if "R" in each.statuses}
        assert not rejected, rejected


class IngestRig:
    """Starts ingest services and sinks on one broker and one database, and ends them in reverse order.

    Args:
        folder: Where their data goes.
        closing: What it starts is ended by this.
        broker: A broker that has the topics.
        database_url: A new database with the schema.
        long: Whether it puts the load of the targets on them, or one that leaves a busy machine room.

    `environ` may be given more settings for what it starts.
    """

    def __init__(
        self, folder: Path, closing: ExitStack, broker: LocalKafka, database_url: str, *, long: bool = False
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.rate = LONG_RATE if long else SHORT_RATE
        self.bound_s = LONG_BOUND_S if long else SHORT_BOUND_S
        self._closing = closing
        self._ports = free_ports()
        self._processes: list[Running] = []
        self.environ: dict[str, str] = {
            **COMMON,
            "FEED_DATA_DIR": str(folder),
            "FEED_DATABASE_URL": database_url,
            "FEED_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        }
        self.table = Table(database_url)
        closing.callback(self.table.close)

    @property
    def journal(self) -> Path:
        """Where the ingest service keeps what Kafka has not confirmed."""
        return self.folder / "interactions" / "journal"

    def interactions(self, **settings: object) -> Running:
        """An ingest service; it is starting. Its settings are given without their prefix."""
        grpc_port, http_port = next(self._ports), next(self._ports)
        ports = {"grpc_port": grpc_port, "http_port": http_port}
        return self._launched("interactions", grpc_port, http_port, ports | settings)

    def sink(self, **settings: object) -> Running:
        """A sink; it is starting."""
        http_port = sink_port(self.broker.bootstrap_servers)
        return self._launched("sink", 0, http_port, {"http_port": http_port, **settings})

    def wait_until_ready(self) -> None:
        """Waits until everything that it started is ready."""
        for process in self._processes:
            process.wait_until_ready()

    def kill_broker(self) -> float:
        """Ends the broker at once; returns when that was, in monotonic seconds. `broker.start()` brings it back."""
        killed = time.monotonic()
        os.kill(self.broker.pid, signal.SIGKILL)
        self.broker.stop()  # only reaps it
        return killed

    def freeze_broker(self) -> float:
        """Stops the broker: its connections stay, nothing comes back on them; returns when that was."""
        os.kill(self.broker.pid, signal.SIGSTOP)
        return time.monotonic()

    def thaw_broker(self) -> float:
        """Lets the broker go on; returns when that was."""
        os.kill(self.broker.pid, signal.SIGCONT)
        return time.monotonic()

    @contextmanager
    def under_load(
        self, interactions: Running, stream: Stream | None = None, *, rate: float = 0.0, count: int = 0
    ) -> Iterator[IngestRun]:
        """Load from the first acknowledged event to the end of the block; then the run is finished and judged.

        Args:
            interactions: Who takes the events.
            stream: What is sent; None: events of now.
            rate: Events a second; 0: the rig's.
            count: Events in all; 0: as many as it takes.
        """
        self.wait_until_ready()
        stream = stream or Stream(new_run())
        sender = Sender(interactions.target, self.folder, stream, rate or self.rate, count=count, drain_s=self.bound_s)
        try:
            with SizeWatch(interactions, self.journal) as watch:
                run = IngestRun(
                    interactions, sender, watch, self.table, stream, self.broker.client_config(), self.bound_s
                )
                run.until_acknowledged(0.0)
                yield run
                run.finish()
        finally:
            sender.kill()

    def _launched(self, package: str, grpc_port: int, http_port: int, settings: Mapping[str, object]) -> Running:
        module = "interactions.sink" if package == "sink" else package
        named = {f"FEED_{package.upper()}_{name.upper()}": str(value) for name, value in settings.items()}
        environ = self.environ | named
        process = Running(f"{package}-{http_port}", ("-m", module), environ, self.folder, grpc_port, http_port)
        self._closing.callback(process.stop)
        self._processes.append(process)
        process.launch()
        return process


@functools.cache
def sink_port(_bootstrap_servers: str) -> int:
    """Returns the port of all sinks that read from a broker, one after the other.

    By it a sink is known in its group: one with another port would wait for the session of the one before to end.
    """
    return free_port()


def ledger_of(stream: Stream, attempts: Attempts) -> Ledger:
    """Enters everything that was sent, and what was acknowledged of it."""
    ledger = Ledger()
    for attempt in sorted(attempts, key=lambda each: each.start_s):
        numbers = range(attempt.first, attempt.first + attempt.count)
        for number in numbers if attempt.attempt == 1 else ():
            ledger.sent(stream.event(number, attempt.sent_ms), attempt.start_s, sender=stream.run)
        for number, status in zip(numbers, attempt.statuses, strict=False):
            if status in "AD":
                ledger.acknowledged_at(stream.event_id(number), attempt.end_s, attempt.durability)
    return ledger


def size_mb(folder: Path) -> float:
    """Returns the size of the files below a folder; files that vanish meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total / 1e6
