"""The gRPC server of a process: limits, health, reflection, and one place where errors become status."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runtime.errors import InvalidArgumentError, RequestError, UnavailableError, Violation
from runtime.front_door import KNOCK, KNOCK_CODE, FrontDoor
from runtime.json_http import INTERNAL_TEXT
from runtime.metrics import ServerMetrics
from runtime.request_context import REQUEST_ID_KEY, RequestScope

_LOG = structlog.get_logger(__name__)

ERROR_DOMAIN: Final = "feed"

MAX_MESSAGE_BYTES: Final = 1_048_576

# Reasons are in facts part 1.3: a silent client must not hold a handshake, a ping flood ends the connection.
SERVER_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", 4_194_304),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_connection_idle_ms", 900_000),
)

# Typed for mypy only: grpc's class takes no parameters at run time.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_KNOCK: Final = object()


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
    """Wraps every handler: request id, metrics, errors to status, foreign cancellation to UNAVAILABLE.

    It stands where generated code expects a server and wraps handlers as they are added: an interceptor would do the
    same anew for each call, for 60 us.

    Args:
        server: Where the wrapped handlers go.
        metrics: Counts their calls.
        max_message_bytes: As GrpcService says.
    """

    def __init__(
        self, server: grpc.aio.Server, metrics: ServerMetrics, max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        self._server = server
        self._metrics = metrics
        self._max_message_bytes = max_message_bytes

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Takes no handlers: generated code names the same ones again in `add_registered_method_handlers`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, _Handler]) -> None:
        """Adds the handlers of a service."""
        wrapped = {name: self._wrapped(service, name, handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))
        self._server.add_registered_method_handlers(service, wrapped)

    def _wrapped(self, service: str, name: str, handler: _Handler) -> _Handler:
        if handler.response_streaming:  # health's Watch and reflection keep their own ways
            return handler
        return self._wrap(service, name, handler)

    def _wrap(self, service: str, name: str, handler: Any) -> _Handler:
        method = f"/{service}/{name}"
        kind = "client_stream" if handler.request_streaming else "unary"
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary

        meter = self._metrics.rpc(kind, service, name)
        max_bytes = MAX_MESSAGE_BYTES if handler.request_streaming else self._max_message_bytes
        checked = _checked_stream if handler.request_streaming else _checked

        async def serve(request: Any, context: Any) -> Any:
            if request is _KNOCK:
                await context.abort(KNOCK_CODE)
            start = time.perf_counter()
            code = grpc.StatusCode.OK
            with RequestScope(_given_id(context)) as request_id:
                context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
                try:
                    return await inner(checked(request), context)
                except asyncio.CancelledError:
                    code = grpc.StatusCode.CANCELLED
                    if not _cancelled_by_caller():
                        await _abort(context, UnavailableError("CANCELLED_INSIDE", "the call was given up"), request_id)
                    raise
                except RequestError as error:
                    code = error.grpc_code
                    await _abort(context, error, request_id)
                except grpc.aio.AbortError:
                    code = grpc.StatusCode.UNKNOWN
                    raise
                except Exception:  # noqa: BLE001  # logged whole; the caller gets a fixed text
                    code = grpc.StatusCode.INTERNAL
                    _LOG.exception("rpc.failed", method=method)
                    await _abort(context, RequestError("INTERNAL", INTERNAL_TEXT), request_id)
                finally:
                    elapsed_s = time.perf_counter() - start
                    meter.ended(code.name, elapsed_s)
                    _LOG.debug("rpc.ended", method=method, code=code.name, elapsed_s=elapsed_s)

        make = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(serve, _tolerant(handler.request_deserializer, max_bytes), handler.response_serializer)


def build_server(
    metrics: ServerMetrics, services: Sequence[GrpcService], *, shared_port: bool = False
) -> tuple[grpc.aio.Server, "Health"]:
    """Makes a server with health and reflection; it neither listens nor runs yet.

    Args:
        metrics: Counts its calls.
        services: What it offers.
        shared_port: Whether others may listen on its port. gRPC's own default is that any process may, unnoticed.
    """
    options = (("grpc.so_reuseport", int(shared_port)), *_waiting_options(services), *SERVER_OPTIONS)
    server = grpc.aio.server(options=options)
    names = [service.name for service in services]
    for service in services:
        service.add_to_server(service.servicer, GrpcEdge(server, metrics, service.max_message_bytes))
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, GrpcEdge(server, metrics))
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


def _given_id(context: Any) -> str | None:
    given = next((value for key, value in context.invocation_metadata() or () if key == REQUEST_ID_KEY), None)
    return given if isinstance(given, str) else None


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
            malformed = InvalidArgumentError([Violation("request", "the bytes are no message of this type")])
            return _KNOCK if data == KNOCK else malformed

    return read


def _checked(request: Any) -> Any:
    if isinstance(request, RequestError):
        raise request
    return request


async def _checked_stream(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _checked(request)


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
