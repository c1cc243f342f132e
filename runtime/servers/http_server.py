"""The HTTP side of a process: its routes, health, readiness, metrics, and one place where errors become problems."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final, TypeAlias, cast

import structlog
import uvicorn
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.access.browser_route import BrowserRoute, Browsers
from runtime.access.guard import AUTHORIZATION, Gate, Guard, PolicyError
from runtime.errors import RequestError
from runtime.limits.rates import network_of
from runtime.metrics import ServerMetrics
from runtime.request_context import REQUEST_ID_KEY, RequestScope
from runtime.servers.http_protocol import CERTIFICATE, BoundedProtocol, Bounds
from runtime.servers.json_http import INTERNAL_TEXT, PathError, json_response, problem
from runtime.traces.rpc_span import HttpSpan
from runtime.traces.tracing import TRACEPARENT, Traces

_LOG = structlog.get_logger(__name__)

# What every process has besides its own routes.
_OWN_NAMES: Final = ("GET /openapi.json", "GET /healthz", "GET /readyz", "GET /metrics")

# Asked every few seconds by who watches; a trace of it tells nobody anything.
_UNTRACED: Final = frozenset(name.partition(" ")[2] for name in _OWN_NAMES)

# Of a certificate's names, those that the setting may give scopes to.
_NAME_KINDS: Final = frozenset({"DNS", "URI"})

# Gives what /metrics answers.
Exposition: TypeAlias = Callable[[], Awaitable[bytes]]


class HttpEdge:
    """Wraps every request: request id, metrics, security headers, and no exception text to callers.

    Args:
        app: Answers.
        metrics: Counts.
        draining: Whether callers are to leave: each connection then ends with its answer.
        traces: Get a span of each request; None: there are none.
    """

    def __init__(
        self, app: ASGIApp, metrics: ServerMetrics, draining: Callable[[], bool], traces: Traces | None = None
    ) -> None:
        self._traces = traces
        self._app = app
        self._metrics = metrics
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        headers = dict(scope["headers"])
        given = headers.get(REQUEST_ID_KEY.encode(), b"").decode("latin-1")
        with RequestScope(given) as request_id:
            span = None
            if self._traces is not None and scope["path"] not in _UNTRACED:
                span = HttpSpan(self._traces, headers.get(TRACEPARENT.encode(), b"").decode("latin-1"))

            async def send_marked(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    message["headers"] = [*message["headers"], *_headers(request_id, message["headers"])]
                    if self._draining():
                        message["headers"].append((b"connection", b"close"))
                await send(message)

            try:
                # Starlette raises again what its handler has logged and answered.
                with contextlib.suppress(Exception):
                    await self._app(scope, receive, send_marked)
            finally:
                elapsed_s = time.perf_counter() - start
                self._metrics.http_ended(_method(scope), _route(scope), status, elapsed_s)
                _LOG.debug("http.ended", route=_route(scope), status=status, elapsed_s=elapsed_s)
                if span is not None:
                    span.end(_method(scope), _route(scope), status)


class GuardedRoute:
    """Lets requests of one route in as the policy says, and answers the others.

    Args:
        app: The route's own.
        names: How the policy names it, by method; HEAD is GET.
        guard: Says who may call.
        browsers: Who comes with a cookie; None: nobody does.
    """

    def __init__(self, app: ASGIApp, names: Mapping[str, str], guard: Guard, browsers: Browsers | None) -> None:
        self._app = app
        self._names = names
        self._browsers = browsers
        self._gates = {method: guard.gate(name) for method, name in names.items()}
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        gate = self._gates[method]
        try:
            if gate is not None:
                await self._enter(gate, scope)
        except RequestError as error:
            await self._refused(scope, self._names[method], error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _enter(self, gate: Gate, scope: Scope) -> None:
        given, address = _given(scope), network_of(scope["client"][0]) if scope["client"] else ""
        if self._browsers is None or given:
            await gate.enter(address, given, partial(_certificate_names, scope))
        else:
            gate.admit_peer(address)
            gate.let_in(await self._browsers.caller(Request(scope)))

    def _refused(self, scope: Scope, name: str, error: RequestError) -> Response:
        answer = _refusal(self._guard, name, error)
        shown = None if self._browsers is None or _given(scope) else self._browsers.refused(Request(scope), error)
        return shown or answer


def route_names(routes: Iterable[BaseRoute]) -> list[str]:
    """Returns some routes as the policy names them, and those that every process has."""
    return [*_OWN_NAMES, *(name for route in routes for name in _names(route).values())]


def guarded(route: BaseRoute, guard: Guard) -> BaseRoute:
    """Returns a route behind the guard."""
    made = copy(route)
    browsers = route.browsers if isinstance(route, BrowserRoute) else None
    made.app = _behind(made.app, _names(route), guard, browsers)  # type: ignore[attr-defined]  # `_names` refuses routes without
    return made


def _behind(app: ASGIApp, names: Mapping[str, str], guard: Guard, browsers: Browsers | None) -> ASGIApp:
    """Puts the guard behind what lets browsers read answers: a refusal is one."""
    if not isinstance(app, CORSMiddleware):
        return GuardedRoute(app, names, guard, browsers)
    outer = copy(app)
    outer.app = _behind(app.app, names, guard, browsers)
    return outer


def _names(route: BaseRoute) -> dict[str, str]:
    if not isinstance(route, Route) or not route.methods:
        raise PolicyError(f"{route!r} is no route with methods: the policy could not name it")
    return {method: f"{method} {route.path}" for method in sorted(route.methods - {"HEAD"})}


def build_http(
    routes: Sequence[BaseRoute],
    metrics: ServerMetrics,
    exposition: Exposition,
    not_ready: Callable[[], str | None],
    draining: Callable[[], bool],
    guard: Guard,
    traces: Traces | None = None,
) -> ASGIApp:
    """Makes the HTTP application of a process."""

    async def healthz(_request: Request) -> Response:
        return json_response({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        reason = not_ready()
        return (
            json_response({"status": "not ready", "reason": reason}, 503)
            if reason
            else json_response({"status": "ready"})
        )

    async def expose(_request: Request) -> Response:
        return Response(await exposition(), headers={"content-type": CONTENT_TYPE_LATEST})

    document = (files("feed") / "openapi.json").read_bytes()

    async def openapi(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    own = [
        Route("/openapi.json", openapi),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", expose),
    ]

    async def refused(request: Request, error: RequestError) -> Response:
        return _refusal(guard, f"{_method(request.scope)} {_route(request.scope)}", error)

    handlers: dict[Any, Any] = {RequestError: refused, HTTPException: _path_error, Exception: _failed}
    kept = [guarded(route, guard) for route in (*own, *routes)]
    return HttpEdge(Starlette(routes=kept, exception_handlers=handlers), metrics, draining, traces)


class HttpServer(uvicorn.Server):
    """Uvicorn on a socket of ours; signals are the process's business.

    Args:
        app: Answers.
        listener: The socket.
        bounds: What connections are held to.
        tls: What connections are made with; None: plain text.
    """

    def __init__(
        self, app: ASGIApp, listener: socket.socket, bounds: Bounds, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, bounds)),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=5,
                ws="none",
                ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            )
        )
        self._listener = listener
        self._handshake_s = bounds.handshake_s if tls else None

    async def run_until_stopped(self) -> None:
        """Serves until `should_exit` is set, then finishes running requests."""
        await self.serve(sockets=[self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, as uvicorn's own does, which has no setting for how long a TLS handshake may take."""
        config = self.config
        protocol = cast("Callable[..., asyncio.Protocol]", config.http_protocol_class)
        made = partial(protocol, config=config, server_state=self.server_state, app_state=self.lifespan.state)
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                made, sock=each, ssl=config.ssl, backlog=config.backlog, ssl_handshake_timeout=self._handshake_s
            )
            for each in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone."""
        yield


def _given(scope: Scope) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == AUTHORIZATION.encode()]


def _certificate_names(scope: Scope) -> list[str]:
    """Returns the names in the certificate that the caller showed; the connection was not made without verifying it."""
    shown = scope.get("extensions", {}).get(CERTIFICATE, {}).get("subjectAltName", ())
    return [name for kind, name in shown if kind in _NAME_KINDS]


def _refusal(guard: Guard, name: str, error: RequestError) -> Response:
    guard.tell_refused(name, error)
    return problem(error)


async def _failed(request: Request, error: Exception) -> Response:
    _LOG.error("http.failed", route=_route(request.scope), exc_info=error)
    return problem(RequestError("INTERNAL", INTERNAL_TEXT))


async def _path_error(request: Request, error: HTTPException) -> Response:
    answer = problem(PathError(HTTPStatus(error.status_code)))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    """Returns what may be done at a path, by all routes of it: Starlette's own answer names those of the first."""
    found = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in found for method in route.methods}


def _headers(request_id: str, given: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    added = [(REQUEST_ID_KEY.encode(), request_id.encode("latin-1")), (b"x-content-type-options", b"nosniff")]
    if all(name != b"cache-control" for name, _ in given):
        added.append((b"cache-control", b"no-store"))
    return added


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))


def _method(scope: Scope) -> str:
    # A caller may send any word as method; a label must come from a closed set.
    return scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PUT", "DELETE"} else "other"
