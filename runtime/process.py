"""The life of a process: start, serve, drain, stop."""

import argparse
import asyncio
import ctypes
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import structlog
import uvloop
from prometheus_client import CollectorRegistry, generate_latest
from starlette.routing import BaseRoute

from runtime import logs
from runtime.access.guard import Guard, PolicyError, guard_of
from runtime.exit_codes import EXIT_FAILED, EXIT_WRONG_SETTINGS
from runtime.loop_lag import LoopLag
from runtime.metrics import ServerMetrics
from runtime.servers.connections import Connections
from runtime.servers.front_door import watched
from runtime.servers.grpc_server import GrpcService, build_server, rpc_names
from runtime.servers.http_protocol import Bounds
from runtime.servers.http_server import Exposition, HttpServer, build_http, route_names
from runtime.servers.sockets import authority, keep_above, listen
from runtime.settings import CommonSettings, SettingsError, describe, load
from runtime.tls.identity import TlsFiles, tls_of
from runtime.tls.servers import grpc_credentials, https_context
from runtime.traces.opening import OpenTraces
from runtime.workers.metrics import WorkerMetrics
from runtime.workers.worker import Worker, join

_LOG = structlog.get_logger(__name__)

# Of glibc's malloc.h.
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2

SettingsT = TypeVar("SettingsT", bound=CommonSettings)


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
        drain_s: Longest time from the wish to stop to the end of the last request, in seconds.
        drain_delay_s: How long of it new requests are still answered, so that callers see NOT_SERVING and go elsewhere.
        worker: Which worker this is when several processes share the ports; None: it is alone.
        guard: Says who may call what; by default nobody is asked, and it listens on loopback only.
        connections: Counts those over HTTP, and says how many there may be.
        tls: Its certificates; None: it answers in plain text.
        traces: Get a span of each request; ended with the process. None: there are none.
    """

    def __init__(  # noqa: PLR0913  # what a process needs to listen and to end, each by its name
        self,
        name: str,
        app: App,
        *,
        host: str = "127.0.0.1",
        grpc_port: int | None = 0,
        http_port: int = 0,
        drain_s: float = 10.0,
        drain_delay_s: float = 0.0,
        worker: Worker | None = None,
        guard: Guard | None = None,
        connections: Connections | None = None,
        tls: TlsFiles | None = None,
        traces: OpenTraces | None = None,
    ) -> None:
        self._guard = guard or Guard()
        self._connections = connections or Connections()
        self._tls = tls
        self._opened = traces
        self._traces = traces.traces if traces else None
        self._name = name
        self._app = app
        self._host = host
        self._wanted = (grpc_port, http_port)
        self._drain_s = drain_s
        # Without gRPC there are no callers who watch.
        self._drain_delay_s = 0.0 if grpc_port is None else min(drain_delay_s, drain_s)
        self._worker = worker
        self._draining = False
        self._above = ExitStack()
        self.grpc_port = 0
        self.http_port = 0

    async def __aenter__(self) -> Self:
        """Starts the app, then listens: nobody is answered before it can answer.

        Raises:
            PolicyError, SettingsError: It offers what nobody said who may call, or to more than it should.
        """
        services, routes = self._app.grpc_services, self._app.http_routes
        self._guard.require_safe([*rpc_names(services), *route_names(routes)], self._host)
        self._metrics = ServerMetrics(self._app.registry, self._name)
        self._guard.watch(self._metrics.throttled)
        if self._tls is not None:
            tls = self._tls
            self._metrics.certificate_expiry.set_function(lambda: tls.now().expiry_time)
        self._grpc, self._health = build_server(
            self._metrics,
            services,
            self._guard,
            shared_port=self._worker is not None,
            max_connections=self._connections.most,
            traces=self._traces,
        )
        async with AsyncExitStack() as undo:
            if self._worker is None:
                self._listen(undo)  # fails early when another process is there
            if self._opened:
                undo.push_async_callback(self._opened.stop)
            await self._guard.start()
            undo.push_async_callback(self._guard.stop)
            await self._app.start()
            undo.push_async_callback(self._app.stop)
            exposition = await self._exposition(undo)
            app = build_http(
                routes, self._metrics, exposition, self._not_ready, lambda: self._draining, self._guard, self._traces
            )
            await self._measure_waits(undo)
            if self._worker is not None:
                self._listen(undo)  # callers come at once, although another worker would answer them sooner
                self._keep_above(undo)
            bounds = Bounds(self._connections, self._metrics.throttled)
            self._http = HttpServer(app, self._listener, bounds, https_context(self._tls) if self._tls else None)
            await self._grpc.start()
            self._undo = undo.pop_all()
        self._http_task = asyncio.create_task(self._http.run_until_stopped(), name="http")
        self._health_task = asyncio.create_task(self._follow_readiness(), name="health")
        _LOG.info("process.started", grpc_port=self.grpc_port, http_port=self.http_port)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Says NOT_SERVING and lets callers leave, finishes what runs, then closes the app."""
        self._draining = True
        self._metrics.draining.set(1)
        self._health_task.cancel()
        await self._health.set_serving(False)
        await asyncio.sleep(self._drain_delay_s)
        self._above.close()
        await self._grpc.stop(self._drain_s - self._drain_delay_s)
        self._http.should_exit = True
        await self._http_task
        await self._undo.aclose()
        _LOG.info("process.stopped")

    def _listen(self, undo: AsyncExitStack) -> None:
        grpc_port, http_port = self._wanted
        self._listener = undo.enter_context(listen(self._host, http_port, shared=self._worker is not None))
        self.http_port = self._listener.getsockname()[1]
        if grpc_port is not None:
            self.grpc_port = self._bind_grpc(authority(self._host, grpc_port))

    def _bind_grpc(self, address: str) -> int:
        try:
            if self._tls is not None:
                return self._grpc.add_secure_port(address, grpc_credentials(self._tls))
            return self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(errno.EADDRINUSE, f"gRPC cannot listen on {address}: is it in use?") from error

    def _keep_above(self, undo: AsyncExitStack) -> None:
        undo.callback(self._above.close)
        for duplicate in keep_above({self.grpc_port, self.http_port}):
            self._above.enter_context(duplicate)

    async def _measure_waits(self, undo: AsyncExitStack) -> None:
        lag = LoopLag(self._metrics.loop_lag.observe)
        lag.start()
        undo.callback(lag.stop)
        doors = [service.front_door for service in self._app.grpc_services if service.front_door]
        if doors:
            await undo.enter_async_context(watched(doors, self._grpc, self._metrics.call_wait.observe))

    async def _exposition(self, undo: AsyncExitStack) -> Exposition:
        registry = self._app.registry
        if self._worker is None:

            async def alone() -> bytes:
                # On the event loop, every scrape of the bridge's 640 lines would hold up its requests for some 10 ms.
                return await asyncio.to_thread(generate_latest, registry)

            return alone
        metrics = WorkerMetrics(registry, self._worker)
        await metrics.start()
        undo.push_async_callback(metrics.stop)
        return metrics.exposition

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
    *,
    more_help: str | None = None,
) -> int:
    """Runs a process until SIGTERM or SIGINT; returns its exit code (0 drained, 1 failed, 2 wrong settings)."""
    parser = argparse.ArgumentParser(prog=f"feed {name}", description=f"Runs the {name} process.", epilog=more_help)
    parser.add_argument("--print-config", action="store_true", help="print the effective settings and exit")
    parser.add_argument("--worker-in", type=Path, help=argparse.SUPPRESS)  # for the parent of workers only
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
    worker = None
    if arguments.worker_in:
        _LOG.info("worker.waiting", pid=os.getpid())
        worker = join(arguments.worker_in, getattr(settings, f"{name}_workers"))
        if worker is None:
            return 0
        structlog.contextvars.bind_contextvars(worker=worker.number)
    return _run_to_its_end(name, settings, build, worker)


def _run_to_its_end(name: str, settings: SettingsT, build: Callable[[SettingsT], App], worker: Worker | None) -> int:
    bound_arenas()
    try:
        uvloop.run(_run(name, settings, build, worker))
    except SettingsError as error:
        print(f"{name}: wrong settings:\n{error}", file=sys.stderr)  # noqa: T201  # as those that `load` finds
        return EXIT_WRONG_SETTINGS
    except (OSError, PolicyError) as error:
        _LOG.error("process.failed", error=str(error))
        return EXIT_FAILED
    except Exception:  # noqa: BLE001  # the last place that can say why
        _LOG.exception("process.failed")
        return EXIT_FAILED
    return 0


async def _run(name: str, settings: SettingsT, build: Callable[[SettingsT], App], worker: Worker | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    app = build(settings)
    service = Service(
        name,
        app,
        host=getattr(settings, f"{name}_host"),
        grpc_port=getattr(settings, f"{name}_grpc_port", None),
        http_port=getattr(settings, f"{name}_http_port"),
        drain_s=settings.drain_s,
        drain_delay_s=settings.drain_delay_ms / 1000,
        worker=worker,
        guard=guard_of(settings),
        connections=Connections(settings.limit_connections, settings.limit_peer_connections),
        tls=tls_of(settings) if settings.serves_tls else None,
        traces=getattr(app, "traces", None),
    )
    if worker:
        worker.when_parent_ends(stopped.set)
    async with service:
        settle_memory()
        if worker:
            worker.tell_serving()
        await stopped.wait()


def bound_arenas() -> None:
    """Lets glibc keep freed memory in two places instead of eight a core, each of which stays as large as it ever was.

    gRPC parses in whichever of its threads is free: a flood of CONTINUATION frames over two connections made a bridge
    100 to 152 MB larger, and so 72 to 78 MB. Call it before there are threads. Another C library is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, _ARENAS)


def settle_memory() -> None:
    """Takes what start-up made out of the collector's sight.

    Modules, statements and settings live as long as the process; walking them again and again stops every request for
    some 50 ms each time (measured on the bridge at 300 requests a second).
    """
    gc.collect()
    gc.freeze()
