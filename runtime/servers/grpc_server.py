"""The gRPC server of a process: limits, health, reflection, and one place where errors become status."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, cast

import grpc
import structlog
from google.protobuf import any_pb2, descriptor_pool, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runtime.access.guard import AUTHORIZATION, Gate, Guard
from runtime.access.rules import require_acting_for, require_right_for, user_ids
from runtime.errors import InvalidArgumentError, RequestError, ThrottledError, UnavailableError, Violation
from runtime.limits.rates import address_of
from runtime.metrics import RpcMeter, ServerMetrics
from runtime.request_context import REQUEST_ID_KEY, RequestScope
from runtime.servers.front_door import KNOCK, KNOCK_CODE, FrontDoor
from runtime.servers.json_http import INTERNAL_TEXT
from runtime.traces.rpc_span import RpcSpan
from runtime.traces.tracing import TRACEPARENT, Traces

_LOG = structlog.get_logger(__name__)

ERROR_DOMAIN: Final = "feed"

MAX_MESSAGE_BYTES: Final = 1_048_576

# Reasons are in facts part 1.3: a silent client must not hold a handshake, a ping flood ends the connection.
SERVER_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", 4_194_304),
    # gRPC would offer a fast sender windows and frames of 4 MB, and take so much of a message that is beyond the limit.
    # What is within it gets a window of its size once it has begun.
    ("grpc.http2.bdp_probe", 0),
    # gRPC would keep what it refuses by itself waiting for 100 ms to 1 s, and hold the call as long.
    ("grpc.http.tarpit", 0),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A peer is closed that has neither acknowledged our settings after 5 s (gRPC's default: 60 s) nor, idle for 3 s,
    # answers a ping within 6 s. `grpc.keepalive_timeout_ms` would wait for gRPC's 60 s of the latter all the same.
    ("grpc.http2.settings_timeout", 5_000),
    ("grpc.keepalive_time_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 6_000),
    ("grpc.max_connection_idle_ms", 900_000),
    ("grpc.max_connection_age_ms", 1_800_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
)

# Typed for mypy only: grpc's class takes no parameters at run time.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

# What came with a call beside its request.
_Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]

_KNOCK: Final = object()

# So many messages of a stream count as one request, as those of a batch do.
_STREAMED_AS_ONE: Final = 100

_WATCH: Final = f"/{health.SERVICE_NAME}/Watch"


@dataclass(frozen=True, slots=True)
class GrpcService:
    """A service as a process offers it.

    Args:
        name: Full name, such as `feed.scoring.v1.ScoringService`.
        servicer: What answers.
        add_to_server: The generated `add_…Servicer_to_server`.
        front_door: Measures how long its calls wait; None: nobody does.
        max_message_bytes: Size of the largest request of a single message; a stream's messages are for its handler.
    """

    name: str
    servicer: Any
    add_to_server: Callable[[Any, Any], None]
    front_door: FrontDoor | None = None
    max_message_bytes: int = MAX_MESSAGE_BYTES


class GrpcEdge:
    """Wraps every handler: the guard, request id, metrics, errors to status, foreign cancellation to UNAVAILABLE.

    It stands where generated code expects a server and wraps handlers as they are added: an interceptor would do the
    same anew for each call, for 60 us.

    Args:
        server: Where the wrapped handlers go.
        metrics: Counts their calls.
        guard: Says who may call.
        max_message_bytes: As GrpcService says.
        traces: Get a span of each call; None: there are none.
    """

    def __init__(
        self,
        server: grpc.aio.Server,
        metrics: ServerMetrics,
        guard: Guard,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        traces: Traces | None = None,
    ) -> None:
        self._server = server
        self._metrics = metrics
        self._guard = guard
        self._max_message_bytes = max_message_bytes
        self._traces = traces

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Takes no handlers: generated code names the same ones again in `add_registered_method_handlers`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, _Handler]) -> None:
        """Adds the handlers of a service; raises PolicyError when nobody said who may call one."""
        wrapped = {name: self._wrapped(service, name, handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))
        self._server.add_registered_method_handlers(service, wrapped)

    def _wrapped(self, service: str, name: str, handler: Any) -> _Handler:
        path = f"/{service}/{name}"
        gate = self._guard.gate(path)
        if path == _WATCH:  # it answers for hours, and in its own ways
            return cast("_Handler", handler)
        shape = _SHAPES[handler.request_streaming, handler.response_streaming]
        inner = getattr(handler, shape.attribute)
        method = _Method(path, gate, self._guard, self._metrics.rpc(shape.kind, service, name), self._traces)
        admitted = method.admitted_stream if handler.request_streaming else method.admitted
        max_bytes = MAX_MESSAGE_BYTES if handler.request_streaming else self._max_message_bytes

        async def serve(request: Any, context: Any) -> Any:
            if request is _KNOCK:
                await context.abort(KNOCK_CODE)
            async with _Call(method, context) as metadata:
                return await inner(await admitted(request, context, metadata), context)

        async def serve_each(request: Any, context: Any) -> AsyncIterator[Any]:
            async with _Call(method, context) as metadata:
                async for answer in inner(await admitted(request, context, metadata), context):
                    yield answer

        deserialize = _tolerant(handler.request_deserializer, max_bytes)
        behaviour = serve_each if handler.response_streaming else serve
        return shape.make(behaviour, deserialize, handler.response_serializer)


@dataclass(frozen=True, slots=True)
class _Method:
    """What is the same for all calls of an RPC."""

    path: str
    gate: Gate | None
    guard: Guard
    meter: RpcMeter
    traces: Traces | None

    async def admitted(self, request: Any, context: Any, metadata: _Metadata) -> Any:
        """Returns the request; raises what it is refused for."""
        return _checked(request, await self._enter(context, metadata))

    async def admitted_stream(
        self, requests: AsyncIterator[Any], context: Any, metadata: _Metadata
    ) -> AsyncIterator[Any]:
        """Returns the stream of requests, which raises what one is refused for."""
        return _checked_stream(requests, await self._enter(context, metadata))

    async def _enter(self, context: Any, metadata: _Metadata) -> str:
        if self.gate is None:
            return ""
        given = [str(value) for key, value in metadata if key == AUTHORIZATION]
        return await self.gate.enter(address_of(context.peer()), given, partial(_certificate_names, context))


class _Call:
    """Stands around one call."""

    __slots__ = ("_context", "_method", "_request_id", "_scope", "_span", "_start")

    def __init__(self, method: _Method, context: Any) -> None:
        self._method = method
        self._context = context

    async def __aenter__(self) -> _Metadata:
        self._start = time.perf_counter()
        # Read once: gRPC makes it anew each time it is asked for.
        metadata: _Metadata = self._context.invocation_metadata() or ()
        self._scope = RequestScope(_given(metadata, REQUEST_ID_KEY))
        self._request_id = self._scope.__enter__()
        traces, self._span = self._method.traces, None
        if traces is not None:
            self._span = RpcSpan(traces, self._method.path, _given(metadata, TRACEPARENT))
        self._context.set_trailing_metadata(((REQUEST_ID_KEY, self._request_id),))
        return metadata

    async def __aexit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        code = grpc.StatusCode.OK if error is None else _code(error)
        try:
            if error is not None:
                await self._tell(error)
        finally:
            elapsed_s = time.perf_counter() - self._start
            self._method.meter.ended(code.name, elapsed_s)
            _LOG.debug("rpc.ended", method=self._method.path, code=code.name, elapsed_s=elapsed_s)
            if self._span is not None:
                self._span.end(code.name)
            self._scope.__exit__()

    async def _tell(self, error: BaseException) -> None:
        """Ends the call by an error in our words; returns when the error is to go its own way."""
        if isinstance(error, RequestError):
            self._method.guard.tell_refused(self._method.path, error)
            await _abort(self._context, error, self._request_id)
        elif isinstance(error, asyncio.CancelledError):
            if not _cancelled_by_caller():
                given_up = UnavailableError("CANCELLED_INSIDE", "the call was given up")
                await _abort(self._context, given_up, self._request_id)
        elif isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
            # Logged whole; the caller gets a fixed text.
            _LOG.error("rpc.failed", method=self._method.path, exc_info=error)
            await _abort(self._context, RequestError("INTERNAL", INTERNAL_TEXT), self._request_id)


class _Shape(NamedTuple):
    """One of the four kinds of RPC: its name in metrics, where its handler is, and what makes one."""

    kind: str
    attribute: str
    make: Callable[..., _Handler]


# By whether requests, and answers, come as a stream.
_SHAPES: Final = {
    (False, False): _Shape("unary", "unary_unary", grpc.unary_unary_rpc_method_handler),
    (True, False): _Shape("client_stream", "stream_unary", grpc.stream_unary_rpc_method_handler),
    (False, True): _Shape("server_stream", "unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, True): _Shape("bidi_stream", "stream_stream", grpc.stream_stream_rpc_method_handler),
}


def build_server(
    metrics: ServerMetrics,
    services: Sequence[GrpcService],
    guard: Guard,
    *,
    shared_port: bool = False,
    max_connections: int = 4_000,
    traces: Traces | None = None,
) -> tuple[grpc.aio.Server, "Health"]:
    """Makes a server with health, and reflection where nobody is asked who he is; it neither listens nor runs yet.

    Args:
        metrics: Counts its calls.
        services: What it offers.
        guard: Says who may call.
        shared_port: Whether others may listen on its port. gRPC's own default is that any process may, unnoticed.
        max_connections: Of more than that, the newest are closed at once.
        traces: Get a span of each call, but of those to health; None: there are none.
    """
    own = (("grpc.so_reuseport", int(shared_port)), ("grpc.max_allowed_incoming_connections", max_connections))
    options = (*own, *_waiting_options(services), *SERVER_OPTIONS)
    server = grpc.aio.server(options=options)
    names = [service.name for service in services]
    for service in services:
        service.add_to_server(service.servicer, GrpcEdge(server, metrics, guard, service.max_message_bytes, traces))
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, GrpcEdge(server, metrics, guard))
    if guard.is_open:
        reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server, Health(checker, ("", *names))


class Health:
    """What the health service says, for the process and each of its services."""

    def __init__(self, servicer: Any, names: tuple[str, ...]) -> None:
        self._servicer = servicer
        self._names = names

    async def set_serving(self, serving: bool) -> None:
        """Tells every watcher."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self._servicer.set(name, status)


def _waiting_options(services: Iterable[GrpcService]) -> tuple[tuple[str, int], ...]:
    """Bounds the calls that wait in gRPC for Python to take them."""
    bounds = [service.front_door.max_waiting for service in services if service.front_door]
    if not bounds:
        return ()
    return (
        ("grpc.server.max_pending_requests", min(bounds)),
        ("grpc.server.max_pending_requests_hard_limit", min(bounds) * 3 // 2),
    )


def rpc_names(services: Iterable[GrpcService]) -> list[str]:
    """Returns the RPCs of some services as the policy names them."""
    pool = descriptor_pool.Default()
    return [
        f"/{service.name}/{method.name}"
        for service in services
        for method in pool.FindServiceByName(service.name).methods
    ]


def _certificate_names(context: Any) -> list[str]:
    """Returns the names in the certificate that the caller showed; gRPC has verified it."""
    shown = context.auth_context()
    return [name.decode("utf-8", "replace") for kind in ("peer_dns", "peer_uri") for name in shown.get(kind, ())]


def _given(metadata: _Metadata, name: str) -> str:
    given = next((value for key, value in metadata if key == name), "")
    return given if isinstance(given, str) else ""


def _tolerant(deserialize: Callable[[bytes], Any] | None, max_bytes: int) -> Callable[[bytes], Any]:
    """Returns a deserialiser that gives an error instead of raising it.

    The handler then refuses in our words, where grpc.aio would send the exception's class and text to the caller.
    """

    def read(data: bytes) -> Any:
        if len(data) > max_bytes:
            # Not RESOURCE_EXHAUSTED, as gRPC says of its own limit: clients send that again as it is.
            return InvalidArgumentError([Violation("request", f"must be at most {max_bytes} bytes, has {len(data)}")])
        try:
            return deserialize(data) if deserialize else data
        except Exception:  # noqa: BLE001  # whatever the parser raises, the bytes are no message
            return _KNOCK if data == KNOCK else _malformed()

    return read


def _malformed() -> InvalidArgumentError:
    return InvalidArgumentError([Violation("request", "the bytes are no message of this type")])


def _checked(request: Any, users_at: str, require: Callable[[Iterable[str]], object] = require_acting_for) -> Any:
    if request is _KNOCK:  # on a stream, where nobody of ours knocks
        raise _malformed()
    if isinstance(request, RequestError):
        raise request
    if users_at:
        require(user_ids(request, users_at))
    return request


async def _checked_stream(requests: AsyncIterator[Any], users_at: str) -> AsyncIterator[Any]:
    count = 0
    async for request in requests:
        if count % _STREAMED_AS_ONE == 0:
            await _wait_for_turn(request, users_at)
        count += 1
        yield _checked(request, users_at, require_right_for)


async def _wait_for_turn(request: Any, users_at: str) -> None:
    """Waits where a single request would be refused: what comes behind waits with its sender."""
    while True:
        try:
            _checked(request, users_at)
        except ThrottledError as error:
            await asyncio.sleep(error.retry_after_s or 0.0)
        else:
            return


def _code(error: BaseException) -> grpc.StatusCode:
    """Returns what an ended call counts as."""
    if isinstance(error, RequestError):
        return error.grpc_code
    if isinstance(error, grpc.aio.AbortError):
        return grpc.StatusCode.UNKNOWN
    return grpc.StatusCode.INTERNAL if isinstance(error, Exception) else grpc.StatusCode.CANCELLED


def _cancelled_by_caller() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _abort(context: Any, error: RequestError, request_id: str) -> None:
    status = status_pb2.Status(code=_canonical(error.grpc_code), message=error.message)
    for detail in _details(error, request_id):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    trailing: list[tuple[str, str | bytes]] = [
        (REQUEST_ID_KEY, request_id),
        ("grpc-status-details-bin", status.SerializeToString()),
    ]
    if error.retry_after_s is not None:
        trailing.append(("grpc-retry-pushback-ms", str(round(error.retry_after_s * 1000))))
    await context.abort(error.grpc_code, error.message, tuple(trailing))


def _details(error: RequestError, request_id: str) -> list[Any]:
    details: list[Any] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    if error.violations:
        broken = [
            error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.reason)
            for each in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=broken))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return details


def _canonical(code: grpc.StatusCode) -> int:
    return int(code_pb2.Code.Value(code.name))
