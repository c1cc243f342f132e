"""The gRPC server of a process: limits, health, reflection, and one place where errors become status."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runtime.errors import InvalidArgumentError, RequestError, UnavailableError, Violation
from runtime.json_http import INTERNAL_TEXT
from runtime.metrics import RpcRecord, ServerMetrics
from runtime.request_context import REQUEST_ID_KEY, request_scope

_LOG = structlog.get_logger(__name__)

ERROR_DOMAIN: Final = "feed"

# Reasons are in facts part 1.3: a foreign process must not share the port, a silent client must not
# hold a handshake, a ping flood ends the connection.
SERVER_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 1_048_576),
    ("grpc.max_send_message_length", 4_194_304),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_connection_idle_ms", 900_000),
)

# Typed for mypy only: grpc's class takes no parameters at run time.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_MaybeHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"

# What the deserialiser gives for bytes that are no message; the handler then refuses in its own words,
# where grpc.aio would send the exception's class and text to the caller.
_MALFORMED: Final = object()


@dataclass(frozen=True, slots=True)
class GrpcService:
    """A service as a process offers it.

    Args:
        name: Full name, such as `feed.scoring.v1.ScoringService`.
        servicer: What answers.
        add_to_server: The generated `add_…Servicer_to_server`.
    """

    name: str
    servicer: Any
    add_to_server: Callable[[Any, grpc.aio.Server], None]


class GrpcEdge(grpc.aio.ServerInterceptor):
    """Wraps every handler: request id, metrics, errors to status, foreign cancellation to UNAVAILABLE."""

    def __init__(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics
        self._wrapped: dict[str, _Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _MaybeHandler:
        """Returns the wrapped handler of a method, made once."""
        method = handler_call_details.method
        known = self._wrapped.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or handler.response_streaming:  # health's Watch and reflection keep their own ways
            return handler
        wrapped = self._wrap(method, handler)
        self._wrapped[method] = wrapped
        return wrapped

    def _wrap(self, method: str, handler: Any) -> _Handler:
        _, service, name = method.split("/")
        kind = "client_stream" if handler.request_streaming else "unary"
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary

        async def serve(request: Any, context: Any) -> Any:
            start = time.perf_counter()
            given = dict(context.invocation_metadata() or ()).get(REQUEST_ID_KEY)
            code = grpc.StatusCode.OK
            with request_scope(given if isinstance(given, str) else None) as request_id:
                context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
                try:
                    return await inner(_checked(request), context)
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
                    self._metrics.rpc_ended(RpcRecord(kind, service, name, code.name, elapsed_s))
                    _LOG.debug("rpc.ended", method=method, code=code.name, elapsed_s=elapsed_s)

        make = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(serve, _tolerant(handler.request_deserializer), handler.response_serializer)


def build_server(metrics: ServerMetrics, services: Iterable[GrpcService]) -> tuple[grpc.aio.Server, "Health"]:
    """Makes a server with health and reflection; it neither listens nor runs yet."""
    server = grpc.aio.server(interceptors=(GrpcEdge(metrics),), options=SERVER_OPTIONS)
    names = [service.name for service in services]
    for service in services:
        service.add_to_server(service.servicer, server)
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
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


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return deserialize(data) if deserialize else data
        except Exception:  # noqa: BLE001  # whatever the parser raises, the bytes are no message
            return _MALFORMED

    return read


def _checked(request: Any) -> Any:
    if isinstance(request, AsyncIterator):
        return _checked_stream(request)
    if request is _MALFORMED:
        raise InvalidArgumentError([Violation("request", "the bytes are no message of this type")])
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
