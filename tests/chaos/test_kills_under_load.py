"""Processes die while people scroll and watch: nobody misses a page, no acknowledged event is lost or doubled."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa

from feed.recommendations.v1 import recommendations_pb2 as pb
from tests.chaos.conftest import Reporter
from tests.chaos.people import Scroller, Watcher, at_it, stored
from tests.conftest import SMALL_LOG_USERS
from tests.polling import wait_for
from tests.system import System

TARGET = "0 wrong pages; 0 later than the promise; 0 acknowledged events lost"
SHORT_S = 10.0
LONG_S = 300.0
# Time between two faults: a process is back within this.
CALM_S = 2.5


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
        wait_for(lambda: stored(system_database) >= watcher.acknowledged, bool)
    lost = watcher.acknowledged - stored(system_database)
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
    end = time.monotonic() + seconds
    turn = 0
    with at_it(steps) as stopped:
        while time.monotonic() < end:
            fault, name = FAULTS[turn % len(FAULTS)]
            fault(system, name)
            turn += 1
            stopped.wait(CALM_S)
