"""Processes die while people scroll and watch: nobody misses a page, no acknowledged event is lost or doubled."""

import contextlib
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPException

import grpc
import sqlalchemy as sa

from feed.recommendations.v1 import recommendations_pb2 as pb
from storage.database import reading
from storage.tables import user_interactions
from tests.chaos.conftest import Reporter
from tests.conftest import SMALL_LOG_USERS
from tests.http import post_json
from tests.polling import wait_for
from tests.system import System

TARGET = "0 wrong pages; 0 later than the promise; 0 acknowledged events lost"
SHORT_S = 10.0
LONG_S = 300.0
# Time between two faults: a process is back within this.
CALM_S = 2.5


class Scroller:
    """Asks for pages of many users, one after the other; the model knows them all."""

    def __init__(self, system: System, users: int) -> None:
        self._system = system
        self._users = users
        self.sources: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.late = 0

    def step(self) -> None:
        try:
            page = self._system.page(f"u{random.randint(1, self._users)}")
        except grpc.RpcError as error:
            self.wrong.append(str(error))
            return
        self.sources[pb.Source.Name(page.source)] += 1
        self.late += page.budget_left_ms <= 0
        if len({each.video_id for each in page.recommendations}) != 20:
            self.wrong.append(f"{len(page.recommendations)} videos")


class Watcher:
    """Posts events, and posts one again, as a phone does, until it is acknowledged."""

    def __init__(self, system: System) -> None:
        self._port = system.http_port("interactions")
        self._pending: list[dict[str, object]] = []
        self.acknowledged: set[str] = set()

    def step(self) -> None:
        self._pending = self._pending or [_event() for _ in range(5)]
        try:
            answer = post_json(self._port, "/feed/interactions", {"interactions": self._pending})
        except (OSError, HTTPException):  # killed before, or in the midst of its answer
            return
        if answer.status == 200:
            self.acknowledged |= {each["eventId"] for each in answer.json["results"] if each["status"] != "REJECTED"}
            self._pending = []


def _event() -> dict[str, object]:
    return {
        "eventId": str(uuid.uuid4()),
        "userId": f"chaos-{random.randint(1, 50)}",
        "videoId": f"v{random.randint(1, 1000)}",
        "interactionType": "VIEW",
        "watchTime": 3.5,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _kill(system: System, name: str) -> None:
    _signal(system.pid(name), signal.SIGKILL)


def _freeze(system: System, name: str) -> None:
    pid = system.pid(name)
    _signal(pid, signal.SIGSTOP)
    threading.Timer(1.0, _signal, (pid, signal.SIGCONT)).start()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # dead and not started again yet
        os.kill(pid, number)


FAULTS: tuple[tuple[Callable[[System, str], None], str], ...] = (
    (_kill, "scorer"),
    (_kill, "sink"),
    (_freeze, "scorer"),
    (_kill, "interactions"),
)


def test_nobody_misses_a_page_and_no_acknowledged_event_is_lost(
    system: System, system_database: sa.Engine, long: bool, report: Reporter
):
    wait_for(lambda: system.page("u1").source, lambda source: source == pb.LIGHTFM)
    scroller, watcher = Scroller(system, 1_500 if long else SMALL_LOG_USERS), Watcher(system)
    _under_faults(system, (scroller.step, watcher.step), LONG_S if long else SHORT_S)
    system.until_ready()  # the last fault is the next test's no more
    with contextlib.suppress(AssertionError):  # what is missing then is lost
        wait_for(lambda: _stored(system_database) >= watcher.acknowledged, bool)
    lost = watcher.acknowledged - _stored(system_database)
    report(
        "kills",
        "scorer, sink and interactions killed or stopped in turn, in the whole system",
        target=TARGET,
        met=not scroller.wrong and not scroller.late and not lost,
        pages=scroller.sources.total(),
        wrong=len(scroller.wrong),
        late=scroller.late,
        acknowledged=len(watcher.acknowledged),
        lost=len(lost),
    )
    assert scroller.wrong == []
    assert scroller.sources["LIGHTFM"] > 0
    assert scroller.sources["TRENDING"] > 0, "no fault was felt"
    assert watcher.acknowledged
    assert lost == set()
    wait_for(lambda: system.page("u1").source, lambda source: source == pb.LIGHTFM)


def _under_faults(system: System, steps: tuple[Callable[[], None], ...], seconds: float) -> None:
    stopped = threading.Event()

    def repeat(step: Callable[[], None]) -> None:
        while not stopped.wait(0.005):
            step()

    threads = [threading.Thread(target=repeat, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < end:
        fault, name = FAULTS[turn % len(FAULTS)]
        fault(system, name)
        turn += 1
        stopped.wait(CALM_S)
    stopped.set()
    for thread in threads:
        thread.join()


def _stored(engine: sa.Engine) -> set[str]:
    """Returns the ids of the chaos events; `event_id` is unique, so each is there once."""
    columns = user_interactions.c
    with reading(engine) as connection:
        return set(connection.scalars(sa.select(columns.event_id).where(columns.user_id.like("chaos-%"))))
