"""PgBouncer lends connections by transaction to the whole system under load: nothing fails, nothing is lost."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from deploy.filling import mark_finished
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from storage.database import reading, sync_engine
from tests.brokers import as_new
from tests.chaos.conftest import Reporter
from tests.chaos.people import Scroller, Watcher, at_it, stored
from tests.chaos.watching import read_metrics
from tests.conftest import QUICK_MODEL, SMALL_LOG, SMALL_LOG_USERS
from tests.databases import fresh_postgres_url
from tests.http import call_now
from tests.pgbouncer import PgBouncer, pgbouncer
from tests.polling import wait_for
from tests.system import HTTP, System

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET: Final = "0 errors in any process; 0 acknowledged events lost; every process through the pooler"
SHORT_S: Final = 10.0
LONG_S: Final = 120.0
# Far fewer than the processes hold towards it, so that each transaction may get another one.
CONNECTIONS: Final = 4
FAILURES: Final = (
    "feed_sink_failures_total",
    "feed_insights_failures_total",
    "feed_bridge_list_failures_total",
    "feed_bridge_served_dropped_total",
)
# What operators do beside; `feed up` has loaded the log, migrated and trained.
COMMANDS: Final = (("insights", "check"), ("corrections", "list"))
LONG_COMMANDS: Final = (("db", "upgrade"), ("experiment", "list"), ("audit",), ("trainer", "run"), ("db", "prune"))
# Of who gave up waiting, or took too long: time on a busy machine, not the pooler.
CANCELLED: Final = "canceling statement due to"


@pytest.fixture
def database_url(postgres: LocalPostgres) -> str:
    """A new database, past the pooler."""
    return fresh_postgres_url(postgres.url)


@pytest.fixture
def pooler(tmp_path: Path, database_url: str) -> Iterator[PgBouncer]:
    (tmp_path / "pooler").mkdir()
    with pgbouncer(tmp_path / "pooler", database_url, {"default_pool_size": str(CONNECTIONS)}) as running:
        yield running


@pytest.fixture
def system(tmp_path: Path, pooler: PgBouncer, killable_kafka: LocalKafka) -> Iterator[System]:
    """The whole system: it knows the database through the pooler only."""
    folder = tmp_path / "system"
    folder.mkdir()
    mark_finished(folder / "filling.json", SMALL_LOG)
    kafka = as_new(killable_kafka)
    servers = {"FEED_DATABASE_URL": pooler.url, "FEED_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    made = System(folder, environ={**QUICK_MODEL, **servers})
    made.start()
    yield made
    assert made.stop() == 0


def test_all_processes_work_through_a_pool_of_transactions(
    system: System, pooler: PgBouncer, postgres: LocalPostgres, database_url: str, long: bool, report: Reporter
):
    said = len(postgres.log_path.read_text())
    scrollers = [Scroller(system, SMALL_LOG_USERS) for _ in range(3 if long else 1)]
    watchers = [Watcher(system) for _ in range(2 if long else 1)]
    failed: list[str] = []
    with at_it([*(each.step for each in scrollers), *(each.step for each in watchers)]) as stopped:
        end = time.monotonic() + (LONG_S if long else SHORT_S)
        for command in (*COMMANDS, *(LONG_COMMANDS if long else ())):
            done = system.feed(*command)
            failed += [f"feed {' '.join(command)}: {done.stdout}{done.stderr}"] if done.returncode else []
        for path in ("/", "/trends", "/experiments", "/corrections", "/explain", "/models"):
            answer = call_now(system.http_port("insights"), "GET", path)
            failed += [f"{path}: {answer.text}"] if answer.status != 200 else []
        stopped.wait(end - time.monotonic())
    acknowledged = set[str]().union(*(each.acknowledged for each in watchers))
    engine = sync_engine(database_url)
    with contextlib.suppress(AssertionError):  # what is missing then is lost
        wait_for(lambda: stored(engine) >= acknowledged, bool)
    lost = acknowledged - stored(engine)
    backends = _backends(engine)
    engine.dispose()
    wrong = [problem for each in scrollers for problem in each.wrong]
    refusals = [line for line in postgres.log_path.read_text()[said:].splitlines() if "ERROR:" in line]
    troubles = [*failed, *_errors(system.folder / "log"), *_complaints(pooler)]
    troubles += [line for line in refusals if CANCELLED not in line]
    failures = sum(read_metrics(system.http_port(name)).total(metric) for name in HTTP for metric in FAILURES)
    clients, transactions = len(pooler.show("CLIENTS")), pooler.show("TOTALS")
    report(
        "pooler",
        "the whole system through PgBouncer, by transaction",
        target=TARGET,
        met=not (wrong or lost or troubles or failures),
        pages=sum(each.sources.total() for each in scrollers),
        acknowledged=len(acknowledged),
        wrong=len(wrong),
        lost=len(lost),
        failures=failures,
        errors=len(troubles),
        clients=clients,
        server_connections=backends,
        transactions=int({each["name"]: each["value"] for each in transactions}["total_xact_count"]),
    )
    assert troubles == []
    assert wrong == []
    assert lost == set()
    assert failures == 0
    assert backends <= CONNECTIONS < clients


def _errors(folder: Path) -> list[str]:
    """What the processes logged as errors."""
    lines = [line for path in folder.glob("*.log") for line in path.read_text().splitlines() if line]
    return [line for line in lines if json.loads(line)["level"] in ("error", "critical")]


def _complaints(pooler: PgBouncer) -> list[str]:
    return [line for line in pooler.log_lines() if " WARNING " in line or " ERROR " in line]


def _backends(engine: sa.Engine) -> int:
    """Connections of clients to the database but for the one that asks; it may be vacuuming by itself meanwhile."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    with reading(engine) as connection:
        return int(connection.scalar(sa.text(asked)) or 0)
