"""`feed up`: the whole system on one machine, from an empty folder to a personal feed."""

import asyncio
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from bridge.settings import BridgeSettings
from deploy.filling import mark_finished, next_step
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.processes import FEED, NAMES, spec_of
from deploy.supervisor import Supervisor
from insights.settings import InsightsSettings
from interactions.settings import InteractionsSettings
from runtime.settings import CommonSettings, load
from storage.database import reading, sync_engine, upgrade
from storage.tables import videos


class StepError(Exception):
    """A step of the set-up failed; its own output says why."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person asked for.

    Args:
        kafka: Whether to start Apache Kafka; otherwise the journal, or the broker that the settings name.
        postgres: Whether to start PostgreSQL; otherwise SQLite, or the database that the settings name.
        data: Folder of a KuaiRand log to import into an empty database; None: simulated data.
    """

    kafka: bool
    postgres: bool
    data: Path | None


def up(wishes: Wishes) -> None:
    """Starts everything, says how to use it, and stays until Ctrl-C or SIGTERM.

    Raises:
        StepError, StartError, LocalServerError, OtherDataError: With what failed.
    """
    started = time.monotonic()
    settings = load(CommonSettings, os.environ)
    folder = settings.data_dir
    with ExitStack() as stack:
        found = _servers(stack, wishes, folder)
        _write_environment(folder / "run" / "env", found)
        # Nobody who calls a system on one machine has another to go to: its end need not wait for them.
        environ = {"FEED_DRAIN_DELAY_MS": "0", **os.environ, **found}
        settings = load(CommonSettings, environ)
        _prepare(settings, environ, wishes)
        environ = {"FEED_INSIGHTS_WATCHED": watched(environ), **environ}
        asyncio.run(_serve(environ, folder, started))


def _servers(stack: ExitStack, wishes: Wishes, folder: Path) -> dict[str, str]:
    """Starts the real servers that were asked for; returns the settings that point to them."""
    found: dict[str, str] = {}
    if wishes.postgres:
        with _step("starting PostgreSQL"):
            postgres = LocalPostgres(folder / "local" / "postgres").start()
        stack.callback(postgres.stop)
        found["FEED_DATABASE_URL"] = postgres.url
    if wishes.kafka:
        with _step("starting Apache Kafka"):
            kafka = LocalKafka(folder / "local" / "kafka").start()
        stack.callback(kafka.stop)
        found["FEED_KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
    return found


def _write_environment(path: Path, found: Mapping[str, str]) -> None:
    """Leaves the settings of the started servers where other `feed` commands can take them from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in found.items()))


def _prepare(settings: CommonSettings, environ: Mapping[str, str], wishes: Wishes) -> None:
    """Creates topics and tables, fills an empty database, trains a first model."""
    if settings.kafka_bootstrap_servers:
        _feed("creating the topics", environ, "topics", "apply")
    upgrade(settings.effective_database_url)
    url, remembered = settings.effective_database_url, settings.data_dir / "filling.json"
    step = next_step(remembered, wishes.data, datetime.now(UTC), lambda: _has_videos(url))
    if step:
        _feed("importing the data" if wishes.data else "making simulated data", environ, *step)
        mark_finished(remembered, step)
    if not (settings.data_dir / "models" / "LIVE").exists():
        _feed("training the first model", environ, "trainer", "run")


async def _serve(environ: Mapping[str, str], folder: Path, started: float) -> None:
    stopped = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    supervisor = Supervisor([spec_of(name, environ) for name in NAMES], environ, folder, _say)
    _say("starting the processes")
    await supervisor.start()
    _say(_welcome(environ, folder, time.monotonic() - started))
    await stopped.wait()
    _say("stopping")
    await supervisor.stop()


def watched(environ: Mapping[str, str]) -> str:
    """Returns where the metrics of the processes are, as the insights' setting says it."""
    readiness = {name: spec_of(name, environ).ready_url for name in NAMES if name != "insights"}
    return ",".join(f"{name}={url.removesuffix('/readyz')}/metrics" for name, url in readiness.items())


def _has_videos(url: str) -> bool:
    engine = sync_engine(url)
    try:
        with reading(engine) as connection:
            return connection.execute(sa.select(videos.c.video_id).limit(1)).first() is not None
    finally:
        engine.dispose()


def _feed(what: str, environ: Mapping[str, str], *arguments: str) -> None:
    with _step(what):
        done = subprocess.run([*FEED, *arguments], env=dict(environ), check=False)  # noqa: S603
        if done.returncode != 0:
            raise StepError(f"{what}: feed {' '.join(arguments)} ended with exit code {done.returncode}")


@contextmanager
def _step(what: str) -> Iterator[None]:
    _say(what)
    start = time.monotonic()
    yield
    _say(f"{what}: done in {time.monotonic() - start:.1f} s")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _welcome(environ: Mapping[str, str], folder: Path, elapsed_s: float) -> str:
    bridge = load(BridgeSettings, environ)
    interactions = load(InteractionsSettings, environ)
    insights = load(InsightsSettings, environ)
    user = _someone(environ)
    method = "feed.recommendations.v1.RecommendationService/GetRecommendations"
    rest = f"{bridge.bridge_host}:{bridge.bridge_http_port}"
    return f"""
ready after {elapsed_s:.1f} s; Ctrl-C stops everything

  a feed          curl '{rest}/feed/recommendations?userId={user}'
  the same        grpcurl -plaintext -d '{{"user_id":"{user}"}}' {bridge.bridge_host}:{bridge.bridge_grpc_port} \\
                    {method}
  an interaction  POST {interactions.interactions_host}:{interactions.interactions_http_port}/feed/interactions
  the page        {"https" if insights.serves_tls else "http"}://{insights.insights_host}:{insights.insights_http_port}/
  metrics         {rest}/metrics
  logs            {folder / "log"}    process ids   {folder / "run"}
"""


def _someone(environ: Mapping[str, str]) -> str:
    """Returns a user of the data, for the examples."""
    engine = sync_engine(load(CommonSettings, environ).effective_database_url)
    try:
        with reading(engine) as connection:
            row = connection.execute(sa.text("SELECT user_id FROM users ORDER BY user_id LIMIT 1")).first()
            return str(row[0]) if row else "u1"
    finally:
        engine.dispose()
