"""The runner of `feed up`: ready means ready, what dies comes back, the end leaves nothing."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.processes import ProcessSpec
from deploy.supervisor import StartError, Supervisor
from tests.polling import until
from tests.system import free_ports

SERVER = """
import http.server, signal, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


@pytest.fixture
def port() -> int:
    return next(free_ports())


def server(port: int) -> ProcessSpec:
    return ProcessSpec("server", (sys.executable, "-c", SERVER, str(port)), f"http://127.0.0.1:{port}/readyz")


def pid_of(folder: Path) -> int:
    return int((folder / "run" / "server.pid").read_text())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_killed_process_is_started_again_and_stopped_at_the_end(tmp_path: Path, port: int):
    said: list[str] = []
    supervisor = Supervisor([server(port)], os.environ, tmp_path, said.append)
    await supervisor.start()
    first = pid_of(tmp_path)
    os.kill(first, signal.SIGKILL)

    async def replaced() -> bool:
        return pid_of(tmp_path) != first

    await until(replaced, expected=True)
    second = pid_of(tmp_path)
    await supervisor.stop()
    assert not is_alive(second)
    assert not (tmp_path / "run" / "server.pid").exists()
    assert said == ["server ended with exit code -9; starting it again in 0.5 s"]


async def test_who_stands_back_leaves_a_busy_machine_to_others(tmp_path: Path, port: int):
    supervisor = Supervisor([replace(server(port), niceness=7)], os.environ, tmp_path, list[str]().append)
    await supervisor.start()
    here, there = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, pid_of(tmp_path)))
    await supervisor.stop()
    assert there - here == 7


async def test_a_process_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path: Path, port: int):
    broken = ProcessSpec("broken", (sys.executable, "-c", "raise SystemExit('no such port')"), "http://127.0.0.1:1/")
    supervisor = Supervisor([server(port), broken], os.environ, tmp_path, lambda _: None)
    with pytest.raises(StartError, match=r"(?s)broken ended with exit code 1.*no such port"):
        await supervisor.start()
    assert not (tmp_path / "run" / "server.pid").exists(), "the others must not be left running"


async def test_what_a_killed_supervisor_left_running_is_ended_first(tmp_path: Path, port: int):
    (tmp_path / "run").mkdir()
    left = await asyncio.create_subprocess_exec(*server(port).command)
    (tmp_path / "run" / "server.pid").write_text(f"{left.pid}\n")
    supervisor = Supervisor([server(port)], os.environ, tmp_path, lambda _: None)
    await supervisor.start()
    assert await left.wait() in (0, -signal.SIGTERM)
    assert pid_of(tmp_path) != left.pid
    await supervisor.stop()


async def test_a_pid_that_is_another_programs_by_now_is_left_alone(tmp_path: Path, port: int):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "server.pid").write_text(f"{os.getpid()}\n")
    said: list[str] = []
    supervisor = Supervisor([server(port)], os.environ, tmp_path, said.append)
    await supervisor.start()
    await supervisor.stop()
    assert said == []


async def test_a_second_supervisor_in_the_folder_is_refused_and_harms_nothing(tmp_path: Path, port: int):
    first = Supervisor([server(port)], os.environ, tmp_path, lambda _: None)
    await first.start()
    with pytest.raises(StartError, match="running already"):
        await Supervisor([server(port)], os.environ, tmp_path, lambda _: None).start()
    assert is_alive(pid_of(tmp_path))
    await first.stop()
