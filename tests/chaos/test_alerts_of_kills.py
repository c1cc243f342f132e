"""Each part of the whole system is killed and stays away: by the rules that ship, the right alert calls, and ends."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pytest

from deploy.filling import mark_finished
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from tests.brokers import as_new, running
from tests.chaos.conftest import Reporter
from tests.conftest import QUICK_MODEL, SMALL_LOG
from tests.polling import wait_for
from tests.prometheus import Prometheus, prometheus, scraping
from tests.system import HTTP, System

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET: Final = "calls within 120 s, ends within 120 s"
PROMISE_S: Final = 120.0
BOUND_S: Final = 300.0

AWAY: Final = "FeedProcessAway"
ALERTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(HTTP, AWAY),
    "kafka": "FeedKafkaAway",
    "postgres": "FeedCorrectionsOld",
}
SHORT: Final = ("sink", "kafka")


class Part(Protocol):
    """What can be killed."""

    def kill(self) -> None:
        """Ends it, and whatever was started in its place; does nothing while nothing runs."""

    def revive(self) -> None:
        """Lets it run again."""


class Process:
    """A process that `feed up` starts again by itself."""

    def __init__(self, system: System, name: str) -> None:
        self._system = system
        self._name = name
        self._killed = 0

    def kill(self) -> None:
        pid = self._system.pid(self._name)
        if pid != self._killed:
            self._killed = pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def revive(self) -> None:
        self._system.until_ready()


class Server:
    """A server that nobody starts again."""

    def __init__(self, server: LocalKafka | LocalPostgres) -> None:
        self._server = server

    def kill(self) -> None:
        if self._server.is_running:
            os.kill(self._server.pid, signal.SIGKILL)
            self._server.stop()  # only reaps it

    def revive(self) -> None:
        self._server.start()


@dataclass(frozen=True, slots=True)
class Watched:
    """The whole system, and who watches it."""

    parts: Mapping[str, Part]
    prometheus: Prometheus

    def away(self) -> set[str]:
        """The processes that are told to be away."""
        return {each["labels"]["job"] for each in self.prometheus.firing(AWAY)}


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, killable_kafka: LocalKafka
) -> Iterator[Watched]:
    """In the long form with rules and intervals as they ship; in the short one nobody waits."""
    folder: Path = tmp_path_factory.mktemp("watched")
    mark_finished(folder / "filling.json", SMALL_LOG)
    kafka = as_new(killable_kafka)
    with ExitStack() as closing:
        postgres = closing.enter_context(running(LocalPostgres(folder / "postgres")))
        servers = {
            "FEED_DATABASE_URL": postgres.url,
            "FEED_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        }
        system = System(folder, environ={**QUICK_MODEL, **servers})
        system.start()
        closing.callback(system.stop)
        configuration = scraping(folder, system, patient=bool(pytestconfig.getoption("--long")))
        parts = {name: Process(system, name) for name in HTTP}
        yield Watched(
            {**parts, "kafka": Server(kafka), "postgres": Server(postgres)},
            closing.enter_context(prometheus(folder, configuration)),
        )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.long]) for name in ALERTS]
)
def test_what_is_killed_becomes_the_right_alert_that_ends_when_it_is_back(
    watched: Watched, name: str, long: bool, report: Reporter
):
    part, alert = watched.parts[name], ALERTS[name]
    wait_for(lambda: watched.prometheus.ask(f"count(up == 1) == {len(HTTP)}"), bool, BOUND_S)
    wait_for(lambda: watched.prometheus.firing(alert) or watched.away(), lambda firing: not firing, BOUND_S)
    before = watched.prometheus.all_firing()

    def told() -> bool:
        part.kill()
        return bool(watched.prometheus.firing(alert))

    killed_s = time.monotonic()
    wait_for(told, bool, BOUND_S)
    fired_s = time.monotonic()
    away, also = watched.away(), watched.prometheus.all_firing() - before - {alert}
    part.revive()
    back_s = time.monotonic()
    wait_for(lambda: watched.prometheus.firing(alert), lambda firing: not firing, BOUND_S)
    cleared_s = time.monotonic()
    report(
        "alerts",
        f"{name} killed and kept away" + ("" if long else "; no alert waits"),
        target=TARGET,
        met=max(fired_s - killed_s, cleared_s - back_s) <= PROMISE_S,
        alert=alert,
        fired_after_s=fired_s - killed_s,
        cleared_after_s=cleared_s - back_s,
        also=" ".join(sorted(also)),
    )
    assert away == ({f"feed-{name}"} if name in HTTP else set())
