"""All four kinds of RPC stand behind the same edge: the guard, our errors, and no internals."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.access.guard import Guard, PolicyError
from runtime.access.rules import Caller, Rule
from runtime.errors import ResourceExhaustedError, UnauthenticatedError
from runtime.metrics import ServerMetrics
from runtime.process import Service
from runtime.servers.front_door import KNOCK, KNOCK_CODE
from runtime.servers.grpc_server import GrpcEdge

CANARY = "canary-/etc/passwd"
KINDS = ("unary_unary", "stream_unary", "unary_stream", "stream_stream")
OWN = Rule("feed:read:any", "user_id")

Request = pb.GetRecommendationsRequest


class Known:
    """Believes everybody: a token is the user's id and his scopes."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def caller(self, token: str) -> Caller:
        if token == "nobody":
            raise UnauthenticatedError("TOKEN_INVALID", "no")
        user_id, *scopes = token.split("|")
        return Caller(token, user_id, frozenset(scopes))


class Handlers:
    """One handler of each kind; what it does is in the session id of the last request."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def act(self, request: Request) -> pb.GetRecommendationsResponse:
        self.seen.append(request.user_id)
        if request.feed_session_id == "boom":
            raise ValueError(CANARY)
        if request.feed_session_id == "full":
            raise ResourceExhaustedError("FULL", "no room")
        if request.feed_session_id == "cancelled":
            raise asyncio.CancelledError
        return pb.GetRecommendationsResponse(feed_session_id="secret")

    async def unary_unary(self, request: Request, _context: Any) -> Any:
        return self.act(request)

    async def stream_unary(self, requests: AsyncIterator[Request], _context: Any) -> Any:
        return [self.act(request) async for request in requests][-1]

    async def unary_stream(self, request: Request, _context: Any) -> AsyncIterator[Any]:
        yield self.act(request)

    async def stream_stream(self, requests: AsyncIterator[Request], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield self.act(request)


def method_handlers(handlers: Handlers) -> dict[str, Any]:
    read, write = Request.FromString, pb.GetRecommendationsResponse.SerializeToString
    return {kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(handlers, kind), read, write) for kind in KINDS}


Ask = Callable[..., Any]


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture(params=KINDS)
async def ask(request: pytest.FixtureRequest, handlers: Handlers) -> AsyncIterator[Ask]:
    """Calls a method of each kind; returns the status code and what it says, or OK and the answers."""
    server = grpc.aio.server()
    guard = Guard(Known(), {f"/test.Kinds/{kind}": OWN for kind in KINDS})
    edge = GrpcEdge(server, ServerMetrics(CollectorRegistry(), "test"), guard)
    edge.add_registered_method_handlers("test.Kinds", method_handlers(handlers))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    # Not grpc.aio's own client: one that still writes when a call ends may report INTERNAL instead of the status.
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        kind: str = request.param
        method = getattr(channel, kind)(f"/test.Kinds/{kind}", Message.SerializeToString, None)

        def ask_now(messages: Sequence[Message], token: str | None) -> tuple[grpc.StatusCode, str]:
            metadata = () if token is None else (("authorization", f"Bearer {token}"),)
            given = iter(messages) if kind.startswith("stream") else messages[-1]
            try:
                answer = method(given, timeout=10, metadata=metadata)
                answers = list(answer) if kind.endswith("stream") else [answer]
            except grpc.RpcError as error:
                call: Any = error
                return call.code(), f"{call.details()} {call.debug_error_string()} {call.trailing_metadata()}"
            return grpc.StatusCode.OK, repr(answers)

        async def ask(*messages: Message, token: str | None = "u1") -> tuple[grpc.StatusCode, str]:
            return await asyncio.to_thread(ask_now, messages, token)

        yield ask
    await server.stop(None)


class Message:
    """Bytes that are sent as they are."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @staticmethod
    def SerializeToString(message: "Message") -> bytes:  # noqa: N802  # protobuf's name
        return message._content


def message(user_id: str = "u1", act: str = "") -> Message:
    return Message(Request(user_id=user_id, feed_session_id=act).SerializeToString())


@pytest.mark.parametrize("token", ["u1", "service|feed:read:any", "somebody|admin"])
async def test_who_may_is_answered(ask: Ask, handlers: Handlers, token: str):
    code, said = await ask(message("u1"), token=token)
    assert (code, handlers.seen) == (grpc.StatusCode.OK, ["u1"])
    assert "secret" in said


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param(None, grpc.StatusCode.UNAUTHENTICATED, id="no token"),
        pytest.param("nobody", grpc.StatusCode.UNAUTHENTICATED, id="a wrong one"),
        pytest.param("u2", grpc.StatusCode.PERMISSION_DENIED, id="another user's"),
        pytest.param("", grpc.StatusCode.PERMISSION_DENIED, id="a key without scopes"),
    ],
)
async def test_who_may_not_is_refused_before_the_handler(
    ask: Ask, handlers: Handlers, token: str | None, code: grpc.StatusCode
):
    refused, said = await ask(message("u1"), token=token)
    assert (refused, handlers.seen) == (code, [])
    assert "secret" not in said


async def test_bytes_that_are_no_message_tell_a_stranger_nothing(ask: Ask, handlers: Handlers):
    broken = Message(b"\xff\xff\xff")
    assert (await ask(broken, token=None))[0] == grpc.StatusCode.UNAUTHENTICATED
    code, said = await ask(broken)
    assert (code, handlers.seen) == (grpc.StatusCode.INVALID_ARGUMENT, [])
    assert "DecodeError" not in said


async def test_who_knocks_as_the_process_itself_does_reaches_no_handler(ask: Ask, handlers: Handlers):
    """A stream's handler was handed the knock, and failed."""
    code, _ = await ask(Message(KNOCK))
    assert (code, handlers.seen) in [(KNOCK_CODE, []), (grpc.StatusCode.INVALID_ARGUMENT, [])]


async def test_a_stream_is_broken_off_at_another_users_message(ask: Ask, handlers: Handlers):
    code, _ = await ask(message("u1"), message("u2"))
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert "u2" not in handlers.seen


@pytest.mark.parametrize(
    ("act", "code"),
    [
        ("boom", grpc.StatusCode.INTERNAL),
        ("full", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("cancelled", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_errors_are_told_in_our_words(ask: Ask, act: str, code: grpc.StatusCode):
    """grpc.aio by itself sends the exception's class and text, and of a CancelledError nothing at all (#29248)."""
    told, said = await ask(message("u1", act))
    assert told == code
    assert CANARY not in said
    assert "ValueError" not in said


async def test_a_method_without_a_row_is_not_added():
    edge = GrpcEdge(grpc.aio.server(), ServerMetrics(CollectorRegistry(), "test"), Guard(Known(), {}))
    with pytest.raises(PolicyError, match=r"/test\.Kinds/unary_unary"):
        edge.add_registered_method_handlers("test.Kinds", method_handlers(Handlers()))


class Empty:
    """A process that offers nothing."""

    def __init__(self) -> None:
        self.grpc_services: list[Any] = []
        self.http_routes: list[Any] = []
        self.registry = CollectorRegistry()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def not_ready(self) -> str | None:
        return None


def foreign(port: int = 0) -> socket.socket:
    """A socket of a program that shares its port with whoever wants to."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind(("127.0.0.1", port))
        made.listen()
    except OSError:
        made.close()
        raise
    return made


@pytest.mark.parametrize("kind", ["grpc", "http"])
async def test_no_foreign_process_shares_a_port_whoever_comes_first(kind: str):
    """gRPC's own default would give it a part of the calls, unnoticed."""
    with foreign() as first, pytest.raises(OSError, match=str(first.getsockname()[1])):
        async with Service("late", Empty(), **{f"{kind}_port": first.getsockname()[1]}):
            pass
    async with Service("early", Empty()) as service:
        with pytest.raises(OSError, match="in use"):
            foreign(getattr(service, f"{kind}_port"))
