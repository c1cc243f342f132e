"""Keeps the processes of the feed running on one machine: starts, watches, restarts, stops."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from deploy.local.process import command_of, end
from deploy.processes import ProcessSpec, not_ready
from runtime.lock_file import AlreadyRunningError, exclusive

# A process that dies is started again after this, doubling up to the longest; once it has lived, from the start.
FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 10.0
LIVED_S = 30.0

READY_BOUND_S = 60.0
POLL_S = 0.1
# Longer than the processes' own drain, so that SIGKILL is for those that hang.
STOP_BOUND_S = 20.0
TAIL_LINES = 15


class StartError(Exception):
    """A process did not become ready; the text names it and shows the end of its log."""


class Supervisor:
    """The running processes.

    Args:
        specs: What to run.
        environ: Environment of all of them.
        folder: Where `log/NAME.log` and `run/NAME.pid` go.
        say: Takes a line for the person who watches.
    """

    def __init__(
        self, specs: Sequence[ProcessSpec], environ: Mapping[str, str], folder: Path, say: Callable[[str], None]
    ) -> None:
        self._specs = specs
        self._environ = dict(environ)
        self._folder = folder
        self._say = say
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._held = ExitStack()

    async def start(self) -> None:
        """Starts every process and waits until each is ready.

        Raises:
            StartError: When one ends or is not ready within a minute (nothing is left running then), or when
                another supervisor runs in this folder.
        """
        for name in ("log", "run"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._claim)
        try:
            await asyncio.gather(*(self._start_first(spec) for spec in self._specs))
        except BaseException:
            await self.stop()
            raise
        self._watchers = [asyncio.create_task(self._watch(spec), name=spec.name) for spec in self._specs]

    async def stop(self) -> None:
        """Stops every process by its own id: SIGTERM, and SIGKILL for one that hangs."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*(self._stop_one(name, each) for name, each in self._running.items()))
        self._running.clear()
        self._held.close()

    def _claim(self) -> None:
        """Makes sure that nothing runs in this folder: ends what a killed supervisor left running."""
        try:
            self._held.enter_context(exclusive(self._folder / "run" / "up.lock", "feed up"))
        except AlreadyRunningError as error:
            raise StartError(f"the system is running already in {self._folder}: {error}") from error
        for spec in self._specs:
            left = _read_pid(self._pid_file(spec.name))
            # The number may be another program's by now.
            if left is not None and command_of(left).strip() == " ".join(spec.command):
                self._say(f"{spec.name} is left over from a run that was killed; ending it")
                end(left, signal.SIGTERM)

    async def _start_first(self, spec: ProcessSpec) -> None:
        process = await self._spawn(spec)
        deadline = time.monotonic() + READY_BOUND_S
        while (reason := await asyncio.to_thread(not_ready, spec)) is not None:
            if process.returncode is not None:
                raise StartError(f"{spec.name} ended with exit code {process.returncode}:\n{self._tail(spec)}")
            if time.monotonic() > deadline:
                raise StartError(f"{spec.name} is not ready after {READY_BOUND_S:.0f} s: {reason}\n{self._tail(spec)}")
            await asyncio.sleep(POLL_S)

    async def _watch(self, spec: ProcessSpec) -> None:
        delay_s = FIRST_RESTART_S
        while True:
            born = time.monotonic()
            code = await self._running[spec.name].wait()
            if time.monotonic() - born > LIVED_S:
                delay_s = FIRST_RESTART_S
            self._say(f"{spec.name} ended with exit code {code}; starting it again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, LONGEST_RESTART_S)
            await self._spawn(spec)

    async def _spawn(self, spec: ProcessSpec) -> asyncio.subprocess.Process:
        with self._log(spec).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                # Ctrl-C reaches the whole terminal group; the processes must be told once, by us.
                start_new_session=True,
            )
        _stand_back(process.pid, spec.niceness)
        self._running[spec.name] = process
        self._pid_file(spec.name).write_text(f"{process.pid}\n")
        return process

    async def _stop_one(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._pid_file(name).unlink(missing_ok=True)
        if process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_BOUND_S)
        except TimeoutError:
            self._say(f"{name} did not stop within {STOP_BOUND_S:.0f} s; killing it")
            process.kill()
            await process.wait()

    def _pid_file(self, name: str) -> Path:
        return self._folder / "run" / f"{name}.pid"

    def _log(self, spec: ProcessSpec) -> Path:
        return self._folder / "log" / f"{spec.name}.log"

    def _tail(self, spec: ProcessSpec) -> str:
        lines = self._log(spec).read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return os.linesep.join(lines)


def _stand_back(pid: int, niceness: int) -> None:
    lowest = os.getpriority(os.PRIO_PROCESS, 0) + niceness
    with suppress(ProcessLookupError):  # it ended at once, which the watcher tells
        os.setpriority(os.PRIO_PROCESS, pid, lowest)


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
