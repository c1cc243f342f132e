"""One server process: started in its folder, watched until ready, stopped by its own process id."""

import json
import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

from deploy.local.errors import LocalServerError

_TAIL_LINES = 25
_POLL_S = 0.05
# Below Linux' and macOS' ephemeral ranges (32768 and 49152 up): no outgoing connection takes the port in the seconds
# until the server binds it.
_PORT_RANGE = (20_000, 32_000)
_KILL_WAIT_S = 10.0


def free_port() -> int:
    """Returns a loopback TCP port that nobody listens on.

    Raises:
        LocalServerError: None of 100 tries was free.
    """
    for _ in range(100):
        port = random.randint(*_PORT_RANGE)  # noqa: S311
        if port_is_free(port):
            return port
    raise LocalServerError(f"No free port found between {_PORT_RANGE[0]} and {_PORT_RANGE[1]}")


def port_is_free(port: int) -> bool:
    """Tells whether `port` can be bound on loopback now."""
    with socket.socket() as probe:
        # As servers do: without it, connections of the last run that are still closing would make the port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Identity(TypedDict, total=False):
    """The arguments of `subprocess` that switch to another user; empty stays as we are."""

    user: int
    group: int
    extra_groups: tuple[int, ...]


class ServerProcess:
    """A child process with a log and a pid file in its own folder.

    The pid file tells the next run about a server whose owner was killed: that one is stopped first. A server whose
    owner still runs is left alone.

    Args:
        name: For messages and file names.
        directory: Where `<name>.log` and `<name>.pid` go; part of the server's command line.
        stop_signal: The signal that asks for an orderly stop.
    """

    def __init__(self, name: str, directory: Path, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        self._name = name
        self._directory = directory
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None
        self.log_path = directory / f"{name}.log"
        self._pid_path = directory / f"{name}.pid"

    @property
    def pid(self) -> int:
        """Process id of the running server.

        Raises:
            LocalServerError: It is not running.
        """
        if self._child is None or self._child.poll() is not None:
            raise LocalServerError(f"{self._name} is not running")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def launch(self, command: Sequence[str], identity: Identity | None = None) -> None:
        """Starts the command with its output in the log.

        Args:
            command: Program and arguments.
            identity: The user and groups to run it as; None is ourselves.

        Raises:
            LocalServerError: It runs already, or another live process owns this folder.
        """
        self.claim()
        with self.log_path.open("ab") as log:
            # Its own session: Ctrl-C reaches the owner alone, which then stops its servers in order.
            self._child = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **(identity or {}),
            )
        self._pid_path.write_text(json.dumps({"pid": self._child.pid, "owner": os.getpid()}))

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Polls `ready` until it says yes; a server that ends or takes too long is stopped.

        Raises:
            LocalServerError: With the end of the log.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            ended = self._child.poll() if self._child else None
            if ended is not None or time.monotonic() > deadline:
                self.stop()
                how = f"ended with {ended}" if ended is not None else f"was not ready within {timeout_s:g} s"
                raise LocalServerError(f"{self._name} {how}; the end of {self.log_path}:\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def log_tail(self) -> str:
        """The last lines of the log."""
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        return "\n".join(lines[-_TAIL_LINES:])

    def stop(self, timeout_s: float = 20.0) -> None:
        """Asks the server to end, and kills it when it has not within `timeout_s`; a stopped one is left as it is."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.send_signal(self._stop_signal)
            try:
                self._child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait(_KILL_WAIT_S)
        self._child = None
        self._pid_path.unlink(missing_ok=True)

    def claim(self) -> None:
        """Makes sure that nothing runs in this folder: stops what a killed owner left running.

        Raises:
            LocalServerError: Its owner is alive.
        """
        if self.is_running:
            raise LocalServerError(f"{self._name} is running already, pid {self.pid}")
        try:
            record = json.loads(self._pid_path.read_text())
        except (FileNotFoundError, ValueError):
            return
        pid, owner = record["pid"], record["owner"]
        if str(self._directory) not in command_of(pid):
            return
        if command_of(owner):
            raise LocalServerError(
                f"{self._name} in {self._directory} is running already, pid {pid}, owned by process {owner}"
            )
        end(pid, self._stop_signal)


class LocalServer(AbstractContextManager["LocalServer"], ABC):
    """A real server in a folder of its own, which keeps its data from start to start.

    Args:
        process: Its process, not yet started.
    """

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process.is_running

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self._process.log_path

    @abstractmethod
    def start(self) -> Self:
        """Starts the server and returns once it answers.

        Raises:
            LocalServerError: When it cannot; the text says why.
        """

    def stop(self) -> None:
        """Stops the server (orderly, then SIGKILL) and keeps its data."""
        self._process.stop()

    def __enter__(self) -> Self:
        """Starts the server."""
        return self.start()

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops the server."""
        self.stop()


def command_of(pid: int) -> str:
    """Returns the command line of a live process, or an empty text."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    command = ["/bin/ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603


def end(pid: int, stop_signal: signal.Signals) -> None:
    """Asks a process that is not our child to end, kills it when it does not, and waits until it is gone."""
    for sent in (stop_signal, signal.SIGKILL):
        os.kill(pid, sent)
        deadline = time.monotonic() + _KILL_WAIT_S
        while time.monotonic() < deadline:
            if not command_of(pid):
                return
            time.sleep(_POLL_S)
