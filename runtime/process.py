"""The life of a process: start, serve, drain, stop."""

import argparse
import asyncio
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self, TypeVar

import structlog
import uvloop
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from runtime import logs
from runtime.grpc_server import GrpcService, build_server
from runtime.http_server import HttpServer, build_http, listen
from runtime.metrics import ServerMetrics
from runtime.settings import CommonSettings, SettingsError, describe, load

_LOG = structlog.get_logger(__name__)

SettingsT = TypeVar("SettingsT", bound=CommonSettings)

EXIT_WRONG_SETTINGS = 2
EXIT_FAILED = 1


class App(Protocol):
    """A process as its composition root built it."""

    @property
    def grpc_services(self) -> Sequence[GrpcService]:
        """What it offers over gRPC; empty: no gRPC server."""

    @property
    def http_routes(self) -> Sequence[BaseRoute]:
        """What it offers over HTTP besides health, readiness and metrics."""

    @property
    def registry(self) -> CollectorRegistry:
        """Its metrics."""

    async def start(self) -> None:
        """Opens what it needs and starts its background tasks."""

    async def stop(self) -> None:
        """Closes everything in reverse order; called once no request runs any more."""

    def not_ready(self) -> str | None:
        """Says why a request could not be served now; None when it could."""


class Service:
    """A running process: `async with Service(...)` listens, and drains at the end.

    Args:
        name: Name of the process, for logs and metrics.
        app: What it does.
        host: Address to listen on.
        grpc_port: 0 takes a free port; None: no gRPC.
        http_port: 0 takes a free port.
        drain_s: Longest wait for running requests at the end, in seconds.
    """

    def __init__(
        self,
        name: str,
        app: App,
        *,
        host: str = "127.0.0.1",
        grpc_port: int | None = 0,
        http_port: int = 0,
        drain_s: float = 10.0,
    ) -> None:
        self._name = name
        self._app = app
        self._host = host
        self._wanted = (grpc_port, http_port)
        self._drain_s = drain_s
        self._draining = False
        self.grpc_port = 0
        self.http_port = 0

    async def __aenter__(self) -> Self:
        """Starts the app, then listens: nobody is answered before it can answer."""
        grpc_port, http_port = self._wanted
        self._metrics = ServerMetrics(self._app.registry, self._name)
        async with AsyncExitStack() as undo:
            listener = undo.enter_context(listen(self._host, http_port))
            self.http_port = listener.getsockname()[1]
            self._grpc, self._health = build_server(self._metrics, self._app.grpc_services)
            if grpc_port is not None:
                self.grpc_port = self._bind_grpc(grpc_port)
            await self._app.start()
            undo.push_async_callback(self._app.stop)
            app = build_http(self._app.http_routes, self._app.registry, self._metrics, self._not_ready)
            self._http = HttpServer(app, listener)
            await self._grpc.start()
            undo.pop_all()
        self._http_task = asyncio.create_task(self._http.run_until_stopped(), name="http")
        self._health_task = asyncio.create_task(self._follow_readiness(), name="health")
        _LOG.info("process.started", grpc_port=self.grpc_port, http_port=self.http_port)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Says NOT_SERVING, finishes what runs, then closes the app."""
        self._draining = True
        self._metrics.draining.set(1)
        self._health_task.cancel()
        await self._health.set_serving(False)
        await self._grpc.stop(self._drain_s)
        self._http.should_exit = True
        await self._http_task
        await self._app.stop()
        _LOG.info("process.stopped")

    def _bind_grpc(self, port: int) -> int:
        try:
            return self._grpc.add_insecure_port(f"{self._host}:{port}")
        except RuntimeError as error:
            raise OSError(errno.EADDRINUSE, f"gRPC cannot listen on {self._host}:{port}: is it in use?") from error

    def _not_ready(self) -> str | None:
        return "draining" if self._draining else self._app.not_ready()

    async def _follow_readiness(self) -> None:
        said: bool | None = None
        while True:
            serving = self._not_ready() is None
            if serving is not said:
                await self._health.set_serving(serving)
                said = serving
            await asyncio.sleep(0.2)


def main(
    name: str,
    settings_cls: type[SettingsT],
    build: Callable[[SettingsT], App],
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Runs a process until SIGTERM or SIGINT; returns its exit code (0 drained, 1 failed, 2 wrong settings)."""
    parser = argparse.ArgumentParser(prog=f"feed {name}", description=f"Runs the {name} process.")
    parser.add_argument("--print-config", action="store_true", help="print the effective settings and exit")
    arguments = parser.parse_args(argv)
    try:
        settings = load(settings_cls, os.environ if environ is None else environ)
    except SettingsError as error:
        print(f"{name}: wrong settings:\n{error}", file=sys.stderr)  # noqa: T201  # before there is a log
        return EXIT_WRONG_SETTINGS
    if arguments.print_config:
        print("\n".join(describe(settings)))  # noqa: T201
        return 0
    logs.configure(name, settings.log_level)
    try:
        uvloop.run(_run(name, settings, build))
    except OSError as error:
        _LOG.error("process.failed", error=str(error))
        return EXIT_FAILED
    except Exception:  # noqa: BLE001  # the last place that can say why
        _LOG.exception("process.failed")
        return EXIT_FAILED
    return 0


async def _run(name: str, settings: SettingsT, build: Callable[[SettingsT], App]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    service = Service(
        name,
        build(settings),
        host=getattr(settings, f"{name}_host"),
        grpc_port=getattr(settings, f"{name}_grpc_port", None),
        http_port=getattr(settings, f"{name}_http_port"),
        drain_s=settings.drain_s,
    )
    async with service:
        _settle_memory()
        await stopped.wait()


def _settle_memory() -> None:
    """Takes what start-up made out of the collector's sight.

    Modules, statements and settings live as long as the process; walking them again and again stops every request for
    some 50 ms each time (measured on the bridge at 300 requests a second).
    """
    gc.collect()
    gc.freeze()
