"""R22: PostgreSQL is killed and stays away: events are taken, the sink catches up, the feed goes on, nothing leaks."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.processes import spec_of
from storage.database import upgrade
from tests.brokers import running
from tests.chaos.conftest import Reporter
from tests.chaos.ingest_rig import IngestRig, IngestRun
from tests.chaos.processes import Running
from tests.chaos.rig import Rig
from tests.chaos.stores import TOPIC
from tests.chaos.watching import read_metrics
from tests.databases import fresh_postgres_url
from tests.integration.bridge.conftest import fill
from tests.polling import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET = "0 lost; no thread or connection leak; feed p99 < 150 ms"
# What a pool may open on its own between two looks, and how long it may take to close what it need not keep. asyncio's
# own pool of threads starts another one when none is idle, up to this number, and keeps it.
SLACK = 3
THREADS_SLACK = min(32, (os.cpu_count() or 1) + 4)
SETTLED_S = 20.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalPostgres]:
    """A database server of the test's own, which it may kill."""
    with running(LocalPostgres(tmp_path / "postgres")) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Use:
    """What processes hold: threads, open files, connections to the database."""

    threads: int
    files: int
    connections: int

    def growth(self, later: "Use") -> dict[str, int]:
        """Returns by how much each has grown."""
        return {
            "threads_more": later.threads - self.threads,
            "files_more": later.files - self.files,
            "connections_more": later.connections - self.connections,
        }


def leaks(growth: dict[str, int]) -> dict[str, int]:
    """Returns what has grown by more than pools do on their own."""
    return {what: more for what, more in growth.items() if more > (THREADS_SLACK if what == "threads_more" else SLACK)}


def test_the_database_is_killed_and_stays_away(
    rig: Rig, broker: LocalKafka, database: LocalPostgres, long: bool, report: Reporter
):
    # The feed has a database of its own on this server: what trends in the other one is judged.
    fill(database.url)
    upgrade(events := fresh_postgres_url(database.url))
    down_s = (2.0, 2.0, 300.0, 2.0) if long else (1.5, 3.0)
    with ExitStack() as closing:
        ingest = IngestRig(rig.folder, closing, broker, events, long=long)
        interactions, sink = ingest.interactions(), ingest.sink()
        # As `feed up` has it where all share a machine: a sink that catches up stands back behind pages.
        os.setpriority(os.PRIO_PROCESS, sink.pid, spec_of("sink", {}).niceness)
        scorer = rig.scorer()
        bridge = rig.bridge(scorer.target, database_url=database.url)
        with ingest.under_load(interactions) as run, rig.under_load(bridge, sum(down_s) + 10 * len(down_s)) as feed:
            uses, told_s = [], []
            for seconds in down_s:
                told_s.append(_outage(run, database, sink, seconds))
                uses.append(_use(database, interactions, sink, bridge))
            # The first outage may have opened what stays; a leak grows with each further one.
            settled_s = time.monotonic() + SETTLED_S
            while leaks(growth := uses[0].growth(uses[-1])) and time.monotonic() < settled_s:
                run.pause(0.5)
                uses.append(_use(database, interactions, sink, bridge))
        figures = run.figures() | {f"feed_{name}": value for name, value in feed.figures().items()}
    report(
        "R22",
        f"PostgreSQL killed {len(down_s)} times, away for up to {max(down_s):g} s",
        target=TARGET,
        met=run.right and not leaks(growth) and feed.calls.p99_ms < 150,
        **figures,
        **growth,
        threads=uses[-1].threads,
        files=uses[-1].files,
        connections=uses[-1].connections,
        longest_lag_s=max(told_s),
        caught_up_s=max(told - seconds for told, seconds in zip(told_s, down_s, strict=True)),
    )
    run.check()
    feed.check()
    assert leaks(growth) == {}
    assert all(told > seconds * 0.8 for told, seconds in zip(told_s, down_s, strict=True)), "the lag was not told"


def _outage(run: IngestRun, database: LocalPostgres, sink: Running, seconds: float) -> float:
    """Kills the database, brings it back, waits until the sink has caught up; returns the largest lag, in seconds."""
    os.kill(database.pid, signal.SIGKILL)
    killed_s = time.monotonic()
    database.stop()  # only reaps it
    lags_s = [0.0]
    while time.monotonic() < killed_s + seconds:
        lags_s.append(_lag_s(sink))
        run.pause(0.2)
    run.until_acknowledged(run.pause(0.0))
    database.start()

    def lag_s() -> float:
        lags_s.append(_lag_s(sink))
        return lags_s[-1]

    wait_for(lag_s, lambda lag: lag < 1.0, run.bound_s)
    return max(lags_s)


def _lag_s(sink: Running) -> float:
    return read_metrics(sink.http_port).total("feed_sink_lag_seconds", topic=TOPIC)


def _use(database: LocalPostgres, *processes: Running) -> Use:
    folders = [Path("/proc") / str(process.pid) for process in processes]
    return Use(
        threads=sum(len(list((folder / "task").iterdir())) for folder in folders),
        files=sum(len(list((folder / "fd").iterdir())) for folder in folders),
        connections=_connections(database),
    )


def _connections(database: LocalPostgres) -> int:
    with psycopg.connect(database.url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    return int(found[0]) if found else 0
