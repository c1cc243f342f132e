"""Workers as real processes under their parent, ports that are kept for them, and their metrics in one answer."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from runtime.servers.sockets import listen, reserve
from runtime.workers.metrics import WorkerMetrics
from runtime.workers.parent import Workers
from runtime.workers.worker import Worker
from tests.polling import until, wait_for
from tests.system import ROOT

# A worker in small: it takes its number, says that it serves, and drains on SIGTERM or when its parent is gone.
SCRIPT = """
import os, signal, sys
from pathlib import Path
folder = Path(sys.argv[1])
exec((folder / "behaviour.py").read_text())
"""
GOOD = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
(folder / f"spare-{os.getpid()}").touch()
line = os.read(0, 16)
(folder / f"spare-{os.getpid()}").unlink()
if not line:
    sys.exit(0)
number = int(line)
(folder / f"worker-{number}").write_text(str(os.getpid()))
os.write(0, b"s")
os.read(0, 16)
(folder / f"orphan-{number}").touch()
"""
DIES_EARLY = "os.read(0, 16); sys.exit(1)"
DIES_AT_ONCE = "sys.exit(1)"
WRONG_SETTINGS = "os.read(0, 16); sys.exit(2)"
ONE_DIES_ONCE = GOOD.replace(
    "number = int(line)",
    """
import time
number = int(line)
if number == 1 and not (folder / "died").exists():
    while not (folder / "worker-2").exists():
        time.sleep(0.01)
    time.sleep(0.2)  # until the parent has heard of it
    (folder / "died").touch()
    sys.exit(1)
""",
)
IGNORES_SIGTERM = GOOD.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


class Crew:
    """Workers under a parent, in a folder where they leave their marks."""

    def __init__(self, folder: Path, workers: Workers) -> None:
        self._folder = folder
        self.workers = workers
        self.running = asyncio.create_task(workers.run())

    def behave(self, behaviour: str) -> None:
        whole = self._folder / "behaviour.new"
        whole.write_text(behaviour)
        whole.replace(self._folder / "behaviour.py")

    async def pids(self) -> dict[int, int]:
        """The serving processes, by their numbers."""
        marks = self._folder.glob("worker-*")
        return {int(mark.name.removeprefix("worker-")): int(mark.read_text() or 0) for mark in marks}

    async def numbers(self) -> set[int]:
        pids = await self.pids()
        return {number for number, pid in pids.items() if pid}

    async def waiting(self) -> set[int]:
        """Process ids of those without a number."""
        return {int(mark.name.removeprefix("spare-")) for mark in self._folder.glob("spare-*")}

    async def spares(self) -> int:
        return len(await self.waiting())


@asynccontextmanager
async def crew(folder: Path, behaviour: str = GOOD, count: int = 2, stop_bound_s: float = 10.0) -> AsyncIterator[Crew]:
    command = (sys.executable, "-S", "-E", "-c", SCRIPT, str(folder))
    (folder / "behaviour.py").write_text(behaviour)
    made = Crew(folder, Workers(command, dict(os.environ), count, stop_bound_s))
    try:
        yield made
    finally:
        made.workers.end()
        await made.running


async def test_each_worker_has_its_number_and_one_more_waits(tmp_path: Path):
    async with crew(tmp_path, count=3) as made:
        await until(made.numbers, {1, 2, 3})
        await until(made.spares, 1)
    assert await made.running == 0


async def test_a_killed_worker_is_followed_by_the_one_that_waits(tmp_path: Path):
    """R13: back within 2 s, although a process takes longer than that to load on a busy machine."""
    async with crew(tmp_path) as made:
        await until(made.numbers, {1, 2})
        await until(made.spares, 1)
        waiting = await made.waiting()
        before = await made.pids()
        os.kill(before[2], signal.SIGKILL)

        async def moved() -> bool:
            return (await made.pids())[2] not in {0, before[2]}

        await until(moved, expected=True)
        after = await made.pids()
        assert {after[2]} == waiting
        assert after[1] == before[1]
        await until(made.spares, 1)


async def test_a_worker_that_is_told_to_stop_drains_and_is_replaced(tmp_path: Path):
    async with crew(tmp_path) as made:
        await until(made.numbers, {1, 2})
        before = await made.pids()
        os.kill(before[1], signal.SIGTERM)

        async def moved() -> bool:
            return (await made.pids())[1] not in {0, before[1]}

        await until(moved, expected=True)


async def test_wrong_settings_end_everything_at_once(tmp_path: Path):
    async with crew(tmp_path, WRONG_SETTINGS) as made:
        assert await asyncio.wait_for(made.running, 10) == 2


@pytest.mark.parametrize("behaviour", [DIES_EARLY, DIES_AT_ONCE], ids=["with a number", "before"])
async def test_workers_that_cannot_start_at_all_fail_the_boot(tmp_path: Path, behaviour: str):
    async with crew(tmp_path, behaviour) as made:
        assert await asyncio.wait_for(made.running, 10) == 1


@pytest.mark.parametrize("behaviour", [DIES_EARLY, DIES_AT_ONCE], ids=["with a number", "before"])
async def test_once_one_has_served_later_failures_are_tried_again(tmp_path: Path, behaviour: str):
    async with crew(tmp_path) as made:
        await until(made.numbers, {1, 2})
        await until(made.spares, 1)
        before = await made.pids()
        made.behave(behaviour)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        await until(made.spares, 0)
        made.behave(GOOD)

        async def all_moved() -> bool:
            pids = await made.pids()
            return all(pids[number] not in {0, before[number]} for number in before)

        await until(all_moved, expected=True)


async def test_one_that_dies_early_does_no_harm_to_those_that_serve(tmp_path: Path):
    async with crew(tmp_path, ONE_DIES_ONCE) as made:
        await until(made.numbers, {1, 2})
        assert not made.running.done()
    assert await made.running == 0


async def test_a_worker_that_does_not_drain_is_killed_and_that_is_no_clean_end(tmp_path: Path):
    async with crew(tmp_path, IGNORES_SIGTERM, stop_bound_s=0.2) as made:
        await until(made.numbers, {1, 2})
        pids = await made.pids()
        made.workers.end()
        assert await made.running == 1
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("shared", [pytest.param(False, id="alone"), pytest.param(True, id="with SO_REUSEPORT")])
def test_a_port_that_somebody_holds_cannot_be_reserved(shared: bool):
    """R13: a foreign process makes boot fail loudly, with the port and what to do."""
    with listen("127.0.0.1", 0, shared=shared) as foreign:
        port = foreign.getsockname()[1]
        with pytest.raises(OSError, match=rf"127.0.0.1:{port}.*FEED_X_PORT"):
            reserve("127.0.0.1", port, "FEED_X_PORT")


def test_a_reserved_port_is_for_sockets_that_share_it_only():
    """Two parents that start at the same time: the second fails although no worker listens yet."""
    with reserve("127.0.0.1", 0, "FEED_X_PORT") as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(OSError, match="another process holds"):
            reserve("127.0.0.1", port, "FEED_X_PORT")
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", port)
        with listen("127.0.0.1", port, shared=True), listen("127.0.0.1", port, shared=True):
            pass


def test_a_port_with_connections_that_are_ending_can_be_reserved():
    """A restart must not wait for TIME_WAIT."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            listener.accept()[0].close()
    reserve("127.0.0.1", port, "FEED_X_PORT").close()


# A server that takes connections until it is killed.
TAKES = """
import socket, sys
from runtime.servers.sockets import keep_above, listen
listener = listen("127.0.0.1", int(sys.argv[1]), shared=True)
above = keep_above({int(sys.argv[1])})
taken = [listener.accept() for _ in range(int(sys.argv[2]))]
print(len(taken), len(above), flush=True)
listener.accept()
"""
CONNECTIONS = 200


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not list the descriptors of a process")
def test_the_listening_socket_of_a_killed_process_ends_before_its_connections():
    """R13: whose connection breaks comes back at once, and must meet a worker that lives."""
    with listen("127.0.0.1", 0, shared=True) as other:
        port = other.getsockname()[1]
    command = [sys.executable, "-c", TAKES, str(port), str(1 + CONNECTIONS)]
    with ExitStack() as closing:
        server = closing.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        wait_for(lambda: _is_let_in(port), bool)  # the first that it takes
        callers = {closing.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CONNECTIONS)}
        assert server.stdout
        assert server.stdout.readline() == f"{1 + CONNECTIONS} 1\n"
        server.kill()
        let_in = 0
        while callers:
            for broken in select.select(callers, (), ())[0]:
                callers.remove(broken)
                let_in += _is_let_in(port)
    assert let_in == 0


def _is_let_in(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


async def worker_metrics(closing: AsyncExitStack, folder: Path, number: int) -> WorkerMetrics:
    """The metrics of one of three workers, which has counted to its number."""
    registry = CollectorRegistry()
    Counter("steps", "Steps.", registry=registry).inc(number)
    made = WorkerMetrics(registry, Worker(number, 3, folder))
    await made.start()
    closing.push_async_callback(made.stop)
    return made


async def test_any_worker_tells_of_all(tmp_path: Path):
    async with AsyncExitStack() as closing:
        made = [await worker_metrics(closing, tmp_path, number) for number in (1, 2, 3)]
        for each in made:
            lines = (await each.exposition()).decode().splitlines()
            samples = [line for line in lines if line.startswith("steps_total")]
            assert samples == [f'steps_total{{worker="{number}"}} {number}.0' for number in (1, 2, 3)]


async def test_a_worker_that_does_not_answer_is_left_out_and_counted(tmp_path: Path):
    async with AsyncExitStack() as closing:
        made = await worker_metrics(closing, tmp_path, 1)
        held: list[asyncio.StreamWriter] = []
        mute = await asyncio.start_unix_server(lambda _, writer: held.append(writer), tmp_path / "2.metrics")
        text = (await asyncio.wait_for(made.exposition(), 10)).decode()
        mute.close()
        for writer in held:
            writer.close()
            await writer.wait_closed()
    assert 'steps_total{worker="1"}' in text
    assert 'steps_total{worker="2"}' not in text
    assert 'feed_process_silent_workers_total{worker="1"} 2.0' in text  # one hangs, one is not there
