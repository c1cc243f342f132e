"""Several worker processes on the same ports, and the small parent that keeps them running.

The parent answers nobody and loads no gRPC. One process more than asked for waits, loaded, to take the place of one
that dies: starting one takes some 1.5 s of processor time (measured on the bridge), stepping in a tenth of that.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

import structlog

from runtime import logs
from runtime.exit_codes import EXIT_FAILED, EXIT_WRONG_SETTINGS
from runtime.servers.sockets import reserve
from runtime.settings import PREFIX, CommonSettings, SettingsError, load
from runtime.workers.worker import SERVING

_LOG = structlog.get_logger(__name__)

# A worker that died before it served is replaced at once the first time, then ever later.
FIRST_RESTART_S: Final = 0.2
LONGEST_RESTART_S: Final = 5.0
# Beyond its own drain, for what a worker closes afterwards.
STOP_MARGIN_S: Final = 6.0


def main(name: str, settings_cls: type[CommonSettings], serve: Callable[[], int]) -> int:
    """Runs a process, or the parent of its workers when the settings ask for several; returns the exit code.

    Args:
        name: Name of the process and of its package.
        settings_cls: Its settings, with `<name>_workers`, `<name>_host` and both ports.
        serve: Runs one process by this command line, which also says what is wrong with the settings.
    """
    settings = None if sys.argv[1:] else _settings(settings_cls)
    count = getattr(settings, f"{name}_workers", 1)
    if settings is None or count == 1:
        return serve()
    logs.configure(name, settings.log_level)
    try:
        return asyncio.run(_keep_workers(name, settings, count))
    except OSError as error:
        _LOG.error("process.failed", error=str(error))
        return EXIT_FAILED


def restart_delay_s(early_deaths: int) -> float:
    """Returns how long to wait before a dead worker is replaced.

    Args:
        early_deaths: How many in a row died in this place before they served.
    """
    if early_deaths <= 1:
        return 0.0
    return min(FIRST_RESTART_S * 2.0 ** min(early_deaths - 2, 30), LONGEST_RESTART_S)


class Child:
    """A worker as its parent sees it; make one with `spawn`.

    Args:
        process: The process.
        reader: What it says.
        writer: What it is told.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.served = False

    @classmethod
    async def spawn(cls, command: Sequence[str], environ: Mapping[str, str]) -> Self:
        """Starts a worker; it loads, then waits for its number."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.enter_context(ours)
            # Ctrl-C reaches the whole terminal group; a worker must be told once, by its parent.
            process = await asyncio.create_subprocess_exec(
                *command, stdin=theirs.fileno(), env=dict(environ), start_new_session=True
            )
            undo.pop_all()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def begin(self, number: int) -> bool:
        """Lets it serve under a number; returns whether it does, False when it died first."""
        self._writer.write(b"%d\n" % number)
        with contextlib.suppress(ConnectionError):  # it died with its number unread
            self.served = await self._reader.read(len(SERVING)) == SERVING
        return self.served

    async def ended(self) -> int:
        """Waits for its end; returns the exit code, negative for a signal."""
        code = await self._process.wait()
        self._writer.close()
        return code

    async def stop(self, bound_s: float) -> int:
        """Lets it drain, and kills it when that takes too long; returns the exit code."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            return await asyncio.wait_for(self.ended(), bound_s)
        except TimeoutError:
            self._process.kill()
            return await self.ended()


class Workers:
    """Keeps a number of workers serving until `end` is called or they cannot be started at all.

    Args:
        command: Starts one.
        environ: Their environment.
        count: How many serve.
        stop_bound_s: Longest wait for one to drain, in seconds.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], count: int, stop_bound_s: float) -> None:
        self._command = command
        self._environ = environ
        self._count = count
        self._stop_bound_s = stop_bound_s
        self._room = asyncio.Semaphore(count + 1)
        self._spares: asyncio.Queue[Child] = asyncio.Queue()
        self._living: set[Child] = set()
        self._ending = asyncio.Event()
        self._code = 0
        self._ever_served = False

    async def run(self) -> int:
        """Returns the exit code: 0 when every worker that served has drained."""
        works = (self._ending.wait(), self._provide(), *(self._keep(number) for number in range(1, self._count + 1)))
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            drained = await self._drain()
        for end in ends:
            if isinstance(end, Exception):
                raise end
        return self._code or (0 if drained else EXIT_FAILED)

    def end(self, code: int = 0) -> None:
        """Drains all workers and lets `run` return, with this code unless that fails."""
        self._code = self._code or code
        self._ending.set()

    async def _provide(self) -> None:
        """Sees to it that there is always one more than serve."""
        while True:
            await self._room.acquire()
            try:
                self._spares.put_nowait(await self._spawn())
            except OSError as error:  # no memory or no process left: those that run go on
                _LOG.error("worker.not_started", error=str(error))
                await asyncio.sleep(LONGEST_RESTART_S)
                self._room.release()

    async def _spawn(self) -> Child:
        spawning = asyncio.ensure_future(Child.spawn(self._command, self._environ))
        try:
            return await asyncio.shield(spawning)
        finally:
            # Also when this is broken off: a process that nobody knows could not be ended.
            self._living.add(await spawning)

    async def _keep(self, number: int) -> None:
        early_deaths = 0
        while True:
            child = await self._spares.get()
            _LOG.info("worker.started", worker=number, pid=child.pid)
            if await child.begin(number):
                self._ever_served = True
            code = await child.ended()
            self._living.discard(child)
            early_deaths = 0 if child.served else early_deaths + 1
            delay_s = restart_delay_s(early_deaths)
            _LOG.warning("worker.ended", worker=number, pid=child.pid, code=code, restart_in_s=delay_s)
            if code == EXIT_WRONG_SETTINGS:
                self.end(code)
            elif not self._ever_served:
                self.end(EXIT_FAILED)
            await asyncio.sleep(delay_s)
            self._room.release()

    async def _drain(self) -> bool:
        served = [child.served for child in self._living]
        codes = await asyncio.gather(*(child.stop(self._stop_bound_s) for child in self._living))
        # One that never served has nothing to drain: the signal ends it as it is.
        return all(code == 0 for code, did in zip(codes, served, strict=True) if did)


async def _keep_workers(name: str, settings: CommonSettings, count: int) -> int:
    environ = dict(os.environ)
    host = getattr(settings, f"{name}_host")
    with contextlib.ExitStack() as stack:
        for port in (f"{name}_grpc_port", f"{name}_http_port"):
            setting = PREFIX + port.upper()
            reserved = stack.enter_context(reserve(host, getattr(settings, port), setting))
            environ[setting] = str(reserved.getsockname()[1])
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"feed-{name}-"))
        command = (sys.executable, "-m", name, "--worker-in", folder)
        stop_bound_s = settings.drain_s + STOP_MARGIN_S
        workers = Workers(command, environ, count, stop_bound_s)
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, workers.end)
        _LOG.info("workers.started", workers=count, host=host)
        code = await workers.run()
    _LOG.info("workers.stopped", code=code)
    return code


def _settings(cls: type[CommonSettings]) -> CommonSettings | None:
    try:
        return load(cls, os.environ)
    except SettingsError:
        return None
