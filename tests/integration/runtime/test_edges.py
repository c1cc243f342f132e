"""What callers see of a process at its edges: status, problems, health, request ids; never internals."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1 import interactions_pb2_grpc as services
from runtime.access.guard import Guard
from runtime.access.policy import POLICY
from runtime.access.rules import PUBLIC
from runtime.errors import ResourceExhaustedError, UnprocessableError, Violation
from runtime.process import Service
from runtime.request_context import request_id
from runtime.servers.grpc_server import GrpcService
from runtime.servers.json_http import json_response, read_json
from runtime.validation import require_valid
from tests.http import call
from tests.polling import until

NAME = "feed.interactions.v1.InteractionService"
CANARY = "canary-/etc/passwd"
GUARD = Guard(policy={**POLICY, "POST /echo": PUBLIC, "GET /boom": PUBLIC, "POST /boom": PUBLIC})


class Edgy(services.InteractionServiceServicer):
    """Fails in every way a handler can, chosen by the video id."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()

    async def RecordInteraction(self, request: Any, _context: Any) -> Any:  # noqa: N802
        require_valid(request)
        kind = request.interaction.video_id
        if kind == "boom":
            raise ValueError(CANARY)
        if kind == "full":
            raise ResourceExhaustedError("JOURNAL_FULL", "no room", retry_after_s=1.5)
        if kind == "cancelled":
            raise asyncio.CancelledError
        if kind == "slow":
            self.entered.set()
            await self.gate.wait()
        return pb.RecordInteractionResponse(result=pb.RecordResult(event_id=request_id()))

    async def RecordInteractions(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return pb.RecordInteractionsResponse()

    async def StreamInteractions(self, _requests: Any, _context: Any) -> Any:  # noqa: N802
        return pb.StreamInteractionsResponse()


class EdgyApp:
    def __init__(self) -> None:
        self.handler = Edgy()
        self.grpc_services = [GrpcService(NAME, self.handler, services.add_InteractionServiceServicer_to_server)]
        self.http_routes = [
            Route("/echo", self._echo, methods=["POST"]),
            Route("/boom", self._boom),
            Route("/boom", self._echo, methods=["POST"]),
        ]
        self.registry = CollectorRegistry()
        self.reason: str | None = None
        self.stopped = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def not_ready(self) -> str | None:
        return self.reason

    async def _echo(self, request: Request) -> Response:
        body = await read_json(request, max_bytes=100)
        if body == b"{}":
            raise UnprocessableError([Violation("a", "is required")])
        return json_response({"bytes": len(body)})

    async def _boom(self, _request: Request) -> Response:
        raise ValueError(CANARY)


@pytest.fixture
async def service() -> AsyncIterator[tuple[Service, EdgyApp]]:
    app = EdgyApp()
    async with Service("edgy", app, guard=GUARD) as running:
        yield running, app


@pytest.fixture
async def channel(service: tuple[Service, EdgyApp]) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service[0].grpc_port}") as made:
        yield made


def request_for(video_id: str) -> pb.RecordInteractionRequest:
    made = pb.Interaction(user_id="u1", video_id=video_id, interaction_type=pb.VIEW)
    made.timestamp.GetCurrentTime()
    return pb.RecordInteractionRequest(interaction=made)


async def refusal(channel: grpc.aio.Channel, video_id: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await services.InteractionServiceStub(channel).RecordInteraction(request_for(video_id), timeout=5)
    return caught.value


def details(error: grpc.aio.AioRpcError, kind: type[Any]) -> Any:
    packed = next(value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin")
    for detail in status_pb2.Status.FromString(packed).details:
        if detail.Is(kind.DESCRIPTOR):
            found = kind()
            detail.Unpack(found)
            return found
    raise AssertionError(f"no {kind.__name__}")


async def test_the_callers_request_id_is_used_and_echoed(channel: grpc.aio.Channel):
    answering = services.InteractionServiceStub(channel).RecordInteraction(
        request_for("ok"), metadata=(("x-request-id", "my-id.1"),)
    )
    assert (await answering).result.event_id == "my-id.1"
    assert ("x-request-id", "my-id.1") in tuple(await answering.trailing_metadata())


async def test_a_request_id_that_could_break_a_log_line_is_replaced(channel: grpc.aio.Channel):
    answer = await services.InteractionServiceStub(channel).RecordInteraction(
        request_for("ok"), metadata=(("x-request-id", 'a" b'),)
    )
    assert len(answer.result.event_id) == 32


async def test_an_exceptions_text_stays_inside(channel: grpc.aio.Channel):
    error = await refusal(channel, "boom")
    assert error.code() == grpc.StatusCode.INTERNAL
    assert CANARY not in str(error)
    assert "ValueError" not in str(error)


async def test_a_broken_rule_is_a_bad_request_that_names_the_field(channel: grpc.aio.Channel):
    error = await refusal(channel, "a b")
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    violations = details(error, error_details_pb2.BadRequest).field_violations
    assert [each.field for each in violations] == ["interaction.videoId"]


async def test_too_much_carries_the_reason_and_when_to_try_again(channel: grpc.aio.Channel):
    error = await refusal(channel, "full")
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details(error, error_details_pb2.ErrorInfo).reason == "JOURNAL_FULL"
    assert details(error, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 1500
    assert dict(tuple(error.trailing_metadata()))["grpc-retry-pushback-ms"] == "1500"


async def test_a_handler_that_cancels_itself_still_answers(channel: grpc.aio.Channel):
    """grpc #29248: otherwise the caller hangs until its own deadline."""
    assert (await refusal(channel, "cancelled")).code() == grpc.StatusCode.UNAVAILABLE


async def test_bytes_that_are_no_message_are_refused_in_our_words(channel: grpc.aio.Channel):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        raw: Any = channel.unary_unary(f"/{NAME}/RecordInteraction")
        await raw(b"\xff\xff\xff", timeout=5)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "request: the bytes are no message of this type"


async def test_health_follows_readiness(service: tuple[Service, EdgyApp], channel: grpc.aio.Channel):
    stub = health_pb2_grpc.HealthStub(channel)

    async def status(name: str) -> int:
        return int((await stub.Check(health_pb2.HealthCheckRequest(service=name))).status)

    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    for name in ("", NAME):
        await until(partial(status, name), serving)
    service[1].reason = "database"
    await until(lambda: status(NAME), not_serving)
    answer = await call(service[0].http_port, "GET", "/readyz")
    assert (answer.status, answer.json) == (503, {"status": "not ready", "reason": "database"})
    assert (await call(service[0].http_port, "GET", "/healthz")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "reason"),
    [
        pytest.param("GET", "/nope", None, None, 404, "NOT_FOUND", id="unknown path"),
        pytest.param("GET", "/echo", None, None, 405, "METHOD_NOT_ALLOWED", id="wrong method"),
        pytest.param("POST", "/echo", b"{}", "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE", id="not json"),
        pytest.param("POST", "/echo", b"1" * 101, "application/json", 413, "BODY_TOO_LARGE", id="too large"),
        pytest.param("POST", "/echo", b"{}", "application/json", 422, "INVALID_ARGUMENT", id="broken rule"),
        pytest.param("GET", "/boom", None, None, 500, "INTERNAL", id="exception"),
    ],
)
async def test_every_http_error_is_a_problem_without_internals(
    service: tuple[Service, EdgyApp],
    method: str,
    path: str,
    body: bytes | None,
    kind: str | None,
    status: int,
    reason: str,
):
    headers = {"x-request-id": "r-1", **({"content-type": kind} if kind else {})}
    answer = await call(service[0].http_port, method, path, body, headers)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["reason"], answer.json["status"], answer.json["requestId"]) == (reason, status, "r-1")
    assert CANARY not in answer.text


async def test_metrics_count_by_method_and_code_never_by_path(
    service: tuple[Service, EdgyApp], channel: grpc.aio.Channel
):
    await refusal(channel, "boom")
    await call(service[0].http_port, "GET", "/nope/u1")
    text = (await call(service[0].http_port, "GET", "/metrics")).text
    assert 'grpc_method="RecordInteraction",grpc_service="feed.interactions.v1.InteractionService"' in text
    assert 'grpc_code="INTERNAL"' in text
    assert 'route="unmatched",status="404"' in text
    assert "u1" not in text


async def test_a_wrong_method_is_told_the_right_ones(service: tuple[Service, EdgyApp]):
    """RFC 9110, 15.5.6; of all routes of a path."""
    answers = [await call(service[0].http_port, "TRACE", path) for path in ("/echo", "/boom")]
    assert [(each.status, each.headers["allow"]) for each in answers] == [(405, "POST"), (405, "GET, HEAD, POST")]


async def test_the_openapi_document_is_served_as_it_is_checked_in(service: tuple[Service, EdgyApp]):
    answer = await call(service[0].http_port, "GET", "/openapi.json")
    checked_in = Path(__file__).parents[3] / "protos" / "feed" / "openapi.json"
    assert (answer.status, answer.text) == (200, checked_in.read_text())


async def test_a_taken_port_is_an_error_that_names_it(service: tuple[Service, EdgyApp]):
    port = service[0].grpc_port
    with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
        async with Service("second", EdgyApp(), grpc_port=port, guard=GUARD):
            pass


async def test_a_running_call_is_finished_before_the_process_ends():
    app = EdgyApp()
    service = Service("brief", app, drain_s=10, guard=GUARD)
    await service.__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
        answering = asyncio.ensure_future(
            services.InteractionServiceStub(channel).RecordInteraction(request_for("slow"), timeout=10)
        )
        await app.handler.entered.wait()
        ending = asyncio.create_task(service.__aexit__(None, None, None))
        await until(lambda: ready(service), expected=503)
        assert not ending.done()
        app.handler.gate.set()
        assert (await answering).result.event_id
        await ending
    assert app.stopped


async def test_callers_have_time_to_leave_before_the_process_refuses_them():
    """R12: health says NOT_SERVING and connections end with their answers, while every call is still answered."""
    service = Service("brief", EdgyApp(), drain_s=60, drain_delay_s=60, guard=GUARD)
    await service.__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
        leaving = asyncio.create_task(service.__aexit__(None, None, None))
        await until(lambda: ready(service), expected=503)
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=NAME))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await services.InteractionServiceStub(channel).RecordInteraction(request_for("ok"))
        healthy = await call(service.http_port, "GET", "/healthz")
        assert (healthy.status, healthy.headers["connection"]) == (200, "close")
        assert "feed_process_draining 1.0" in (await call(service.http_port, "GET", "/metrics")).text
    leaving.cancel()
    service._drain_delay_s = 0
    await service.__aexit__(None, None, None)


async def ready(service: Service) -> int:
    return (await call(service.http_port, "GET", "/readyz")).status


async def test_the_end_closes_the_app_after_the_servers():
    app = EdgyApp()
    async with Service("brief", app, guard=GUARD) as running:
        assert (await call(running.http_port, "GET", "/healthz")).status == 200
        assert not app.stopped
    assert app.stopped
