"""Processes die; what was tracked arrives, once in effect. Real processes, killed by their id."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from interactions.client import Rejection, Tracker, TrackerSettings
from tests.embedded_ingest import EmbeddedIngest, first_copies, ids
from tests.polling import wait_for
from tests.system import ROOT

BOUND_S = 30.0
QUICK = TrackerSettings(flush_interval_s=0.05, first_backoff_s=0.05, longest_backoff_s=0.5, call_timeout_s=2.0)


def track(tracker: Tracker, count: int) -> list[str]:
    return [
        tracker.track(user_id="u1", video_id=f"v{n}", interaction_type="VIEW", watch_time_s=n) for n in range(count)
    ]


def test_95_percent_fewer_calls_than_one_an_event(ingest: EmbeddedIngest, way: str) -> None:
    """Issue 5, "Client": counted by the service itself."""
    before = ingest.calls()
    with Tracker(ingest.address(way), settings=TrackerSettings(flush_interval_s=3600)) as tracker:
        tracked = [event_id for _ in range(50) for event_id in track_and_wait(tracker, 20)]

    assert ids(ingest.stored())[-1000:] == tracked
    assert ingest.calls() - before == tracker.stats.calls <= 0.05 * len(tracked)


def track_and_wait(tracker: Tracker, count: int) -> list[str]:
    """As slowly as events come to a service: the next ones when these have been sent."""
    tracked = track(tracker, count)
    wait_for(lambda: tracker.stats.waiting, lambda waiting: waiting == 0, BOUND_S)
    return tracked


def test_a_service_that_is_killed_and_comes_back_gets_everything_once_in_effect(
    own_ingest: EmbeddedIngest, way: str
) -> None:
    told: list[Rejection] = []
    own_ingest.start()
    with Tracker(own_ingest.address(way), settings=QUICK, on_rejected=told.append) as tracker:
        tracked = track(tracker, 300)
        wait_for(lambda: tracker.stats.delivered, bool, BOUND_S)
        own_ingest.kill()
        tracked += track(tracker, 500)
        wait_for(lambda: tracker.stats.failed_calls, lambda failed: failed >= 3, BOUND_S)
        own_ingest.start()
        tracked += track(tracker, 300)
        assert tracker.flush(BOUND_S)
        stats = tracker.stats

    events = first_copies(own_ingest.stored())
    assert ids(events) == tracked  # one user: in order, too
    assert (stats.delivered, stats.rejected, stats.refused, told) == (1100, 0, 0, [])


# Tracks so many events and says their ids, then does what it is told.
CLIENT = """
import json, os, signal, sys
from interactions.client import Tracker, TrackerSettings

target, spool, count, end = sys.argv[1], sys.argv[2] or None, int(sys.argv[3]), sys.argv[4]
tracker = Tracker(target, spool=spool, settings=TrackerSettings(exit_timeout_s=20))
tracked = [tracker.track(user_id="u1", video_id=f"v{n}", interaction_type="LIKE") for n in range(count)]
print(json.dumps(tracked), flush=True)
if end == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def client(process: EmbeddedIngest, way: str, count: int, *, spool: Path | None = None, end: str = "exit") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, process.address(way), str(spool or ""), str(count), end],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if end == "kill" else 0), done.stderr
    assert "Traceback" not in done.stderr
    tracked: list[str] = json.loads(done.stdout)
    return tracked


def test_a_process_that_ends_sends_what_waits(ingest: EmbeddedIngest, way: str) -> None:
    """Flush at exit, without a `with` or `close`: 7 events are neither 20 nor 5 s old."""
    tracked = client(ingest, way, 7)
    assert [event_id for event_id in ids(ingest.stored()) if event_id in tracked] == tracked


def test_a_killed_client_loses_nothing_that_its_spool_has(own_ingest: EmbeddedIngest, way: str, tmp_path: Path) -> None:
    """Twice killed while the service is away, then one that lives."""
    spool = tmp_path / "spool"
    tracked = client(own_ingest, way, 30, spool=spool, end="kill")
    tracked += client(own_ingest, way, 5, spool=spool, end="kill")
    own_ingest.start()
    tracked += client(own_ingest, way, 5, spool=spool)

    assert ids(first_copies(own_ingest.stored())) == tracked
    assert spool.stat().st_size == 0


# A parent that has tracked, with a connection and a thread, forks; both go on.
FORKS = """
import json, os, sys
from interactions.client import Tracker, TrackerSettings

def track(count):
    return [tracker.track(user_id=f"u{os.getpid()}", video_id=f"v{n}", interaction_type="LIKE") for n in range(count)]

tracker = Tracker(sys.argv[1], spool=sys.argv[2] or None, settings=TrackerSettings(flush_interval_s=3600))
track(3)
assert tracker.flush(10)
track(2)
pid = os.fork()
if pid == 0:
    assert tracker.stats.tracked == 0
    track(4)
    delivered = tracker.close(10)
    assert delivered and tracker.stats.delivered == 4, tracker.stats
    os._exit(0)
_, status = os.waitpid(pid, 0)
track(1)
assert tracker.close(10)
print(json.dumps([status, tracker.stats.delivered]))
"""


@pytest.mark.parametrize("with_spool", [False, True], ids=["memory", "spool"])
def test_a_forked_process_tracks_for_itself(
    ingest: EmbeddedIngest, way: str, tmp_path: Path, *, with_spool: bool
) -> None:
    """What waits in the parent at the fork is sent by the parent alone; the child has a connection of its own."""
    before = len(ingest.stored())
    done = subprocess.run(
        [sys.executable, "-c", FORKS, ingest.address(way), str(tmp_path / "spool") if with_spool else ""],
        cwd=ROOT,
        env={**os.environ, "GRPC_VERBOSITY": "NONE"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, 6]
    found = ids(ingest.stored()[before:])
    assert len(found) == len(set(found)) == 10


# Forks while calls are made as fast as they can be; says how the children ended. One that hangs is killed.
FORKS_UNDER_LOAD = """
import json, os, sys, threading, time
from interactions.client import Tracker, TrackerSettings

def work():
    while not done.is_set():
        tracker.track(user_id="parent", video_id="v", interaction_type="LIKE")
        time.sleep(0.001)

def ending(pid):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    os.kill(pid, 9)
    return os.waitpid(pid, 0)[1]

tracker = Tracker(sys.argv[1], settings=TrackerSettings(flush_interval_s=0))
done = threading.Event()
thread = threading.Thread(target=work)
thread.start()
while tracker.stats.delivered < 20:
    time.sleep(0.005)
endings = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        tracker.track(user_id="child", video_id="v", interaction_type="LIKE")
        os._exit(0 if tracker.close(10) else 1)
    endings.append(ending(pid))
done.set()
thread.join()
assert tracker.close(10)
print(json.dumps([endings, tracker.stats.delivered]))
"""


def test_a_fork_in_the_middle_of_calls_harms_neither_side(ingest: EmbeddedIngest, way: str) -> None:
    """A connection's lock held by a thread that the child does not have made one child in twenty hang."""
    before = len(ingest.stored())
    done = subprocess.run(
        [sys.executable, "-c", FORKS_UNDER_LOAD, ingest.address(way)],
        cwd=ROOT,
        env={**os.environ, "GRPC_VERBOSITY": "NONE"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    endings, delivered = json.loads(done.stdout)
    assert endings == [0] * 8
    found = ids(ingest.stored()[before:])
    assert len(found) == len(set(found)) == delivered + 8


# As pre-forking servers and task queues do it.
POOL = """
import multiprocessing, sys
from interactions.client import Tracker

tracker = Tracker(sys.argv[1])

def work(number):
    tracker.track(user_id="u1", video_id=f"v{number}", interaction_type="LIKE")

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
"""


def test_a_worker_of_multiprocessing_sends_what_waits_at_its_end(ingest: EmbeddedIngest, way: str) -> None:
    """Its processes end without atexit."""
    before = len(ingest.stored())
    done = subprocess.run(
        [sys.executable, "-c", POOL, ingest.address(way)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(each["videoId"] for each in ingest.stored()[before:]) == ["v0", "v1", "v2"]
