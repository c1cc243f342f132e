"""The client against the real service, over REST and over gRPC."""

import http.server
import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from feed.interactions.v1 import interactions_pb2_grpc
from interactions.client import HttpTransport, Rejection, Tracker, TrackerSettings
from interactions.client.event import Event
from interactions.client.grpc_transport import GrpcTransport
from interactions.client.transport import Answered, Failed, Result, Transport, Unreadable
from tests.embedded_ingest import EmbeddedIngest
from tests.system import free_ports

BOUND_S = 20.0
PATIENT = TrackerSettings(flush_interval_s=3600, flush_events=1_000_000)


@pytest.fixture(params=["http", "grpc"])
def make(request: pytest.FixtureRequest) -> Callable[[int, int], Transport]:
    """Makes a transport to the gRPC and HTTP ports of a service."""
    if request.param == "http":
        return lambda _grpc, http: HttpTransport(f"http://127.0.0.1:{http}")
    return lambda grpc, _http: GrpcTransport(f"127.0.0.1:{grpc}")


@pytest.fixture
def transport(make: Callable[[int, int], Transport], ingest: EmbeddedIngest) -> Iterator[Transport]:
    """One that reaches the service."""
    made = make(ingest.grpc_port, ingest.http_port)
    yield made
    made.close()


def event(**fields: Any) -> Event:
    event_id = str(uuid.uuid4())
    whole = {"eventId": event_id, "userId": "u1", "videoId": "v1", "interactionType": "LIKE"}
    return Event(event_id, json.dumps(whole | {"timestamp": "2100-01-01T00:00:00Z"} | fields).encode())


EVERYTHING: dict[str, Any] = {
    "watch_time_s": 12.5,
    "feed_session_id": "s1",
    "recommendation_id": "r1",
    "position": 3,
    "algorithm": "LIGHTFM",
    "recommendation_score": -0.25,
    "model_version": "m1",
    "experiments": {"prior": "b"},
    "rating": 7.0,
    "served_token": "t",
    "metadata": {"Küche": "日本"},
}


def test_every_field_arrives(transport: Transport, ingest: EmbeddedIngest) -> None:
    with Tracker(transport, settings=PATIENT) as tracker:
        event_id = tracker.track(user_id="u1", video_id="v1", interaction_type="RATE", **EVERYTHING)
        assert tracker.flush(BOUND_S)
        assert (tracker.stats.delivered, tracker.stats.rejected) == (1, 0)

    (stored,) = [each for each in ingest.stored() if each["eventId"] == event_id]
    assert stored.pop("timestamp").endswith("Z")
    assert stored == {
        "eventId": event_id,
        "userId": "u1",
        "videoId": "v1",
        "interactionType": "RATE",
        "watchTime": 12.5,
        "feedSessionId": "s1",
        "recommendationId": "r1",
        "position": 3,
        "algorithm": "LIGHTFM",
        "recommendationScore": -0.25,
        "modelVersion": "m1",
        "experiments": [{"experiment": "prior", "variant": "b"}],
        "rating": 7.0,
        "servedToken": "t",
        "metadata": {"Küche": "日本"},
    }


def test_a_bad_event_is_rejected_alone_with_field_and_reason(transport: Transport, ingest: EmbeddedIngest) -> None:
    told: list[Rejection] = []
    with Tracker(transport, settings=PATIENT, on_rejected=told.append) as tracker:
        good = tracker.track(user_id="u1", video_id="v1", interaction_type="LIKE")
        bad = tracker.track(user_id="", video_id="v1", interaction_type="LIKE")
        odd = tracker.track(user_id="u1", video_id="v1", interaction_type="WINK")
        also_good = tracker.track(user_id="u1", video_id="v1", interaction_type="LIKE")
        assert tracker.flush(BOUND_S)

    assert [(each.event_id, bool(each.reason)) for each in told] == [(bad, True), (odd, True)]
    assert told[0].field == "userId"
    stored = {each["eventId"] for each in ingest.stored()}
    assert stored & {good, bad, odd, also_good} == {good, also_good}


def test_a_time_that_the_service_does_not_believe_is_a_rejection(transport: Transport) -> None:
    answer = transport.send([event()], BOUND_S)
    assert isinstance(answer, Answered)
    (result,) = answer.results
    assert (result.accepted, result.field) == (False, "timestamp")


def test_a_call_that_is_wrong_as_a_whole_is_said_to_be(transport: Transport) -> None:
    """101 events; the service says that for the call and not for an event."""
    assert isinstance(transport.send([event()] * 101, BOUND_S), Unreadable)


def test_nobody_there_is_a_failed_call(make: Callable[[int, int], Transport]) -> None:
    ports = free_ports()
    transport = make(next(ports), next(ports))
    answer = transport.send([event()], BOUND_S)
    transport.close()
    assert isinstance(answer, Failed)
    assert answer.retry_after_s is None


def test_who_takes_the_connection_and_says_nothing_is_a_failed_call(make: Callable[[int, int], Transport]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        transport = make(port, port)
        assert isinstance(transport.send([event()], 0.3), Failed)
        transport.close()


def test_a_closed_transport_opens_again(transport: Transport) -> None:
    for _ in range(2):
        assert isinstance(transport.send([event()], BOUND_S), Answered)
        transport.close()


class Refuser(http.server.BaseHTTPRequestHandler):
    """Answers as it is told."""

    answer: ClassVar[tuple[int, dict[str, str], bytes]] = (503, {}, b"")
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, self.headers["authorization"]))
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def refusing(status: int, headers: dict[str, str], body: bytes) -> Iterator[int]:
    Refuser.answer = (status, headers, body)
    Refuser.seen.clear()
    with http.server.HTTPServer(("127.0.0.1", 0), Refuser) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "body", "answer"),
    [
        pytest.param(503, {}, b"", Failed("HTTP 503 Service Unavailable"), id="down"),
        pytest.param(429, {"retry-after": "7"}, b"", Failed("HTTP 429 Too Many Requests", 7.0), id="a hint"),
        pytest.param(
            503,
            {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"},
            b"",
            Failed("HTTP 503 Service Unavailable"),
            id="a hint that is a date",
        ),
        pytest.param(400, {}, b'{"detail":"no"}', Unreadable("no"), id="a problem of the service"),
        pytest.param(400, {}, b"<html>", Failed("HTTP 400 Bad Request"), id="a proxy's own 400"),
        pytest.param(200, {}, b"<html>", Failed("the answer is none of this service: JSONDecodeError"), id="no JSON"),
        pytest.param(200, {}, b"[]", Failed("the answer is none of this service: TypeError"), id="other JSON"),
        pytest.param(200, {}, b'{"results":[]}', Failed("the answer has 0 results for 1 events"), id="too few"),
        pytest.param(
            200, {}, b'{"results":[{"status":"DUPLICATE"}]}', Answered([Result(accepted=True)]), id="known already"
        ),
    ],
)
def test_what_http_answers_mean(status: int, headers: dict[str, str], body: bytes, answer: object) -> None:
    """An event is only given up when the service itself says what is wrong with it."""
    with refusing(status, headers, body) as port:
        transport = HttpTransport(f"http://127.0.0.1:{port}/own/path", headers=lambda: {"authorization": "Bearer x"})
        assert transport.send([event()], BOUND_S) == answer
        transport.close()
    assert Refuser.seen == [("/own/path", "Bearer x")]


class Told:
    """Refuses with what it is told."""

    def __init__(self, code: grpc.StatusCode, trailing: tuple[tuple[str, str | bytes], ...]) -> None:
        self._code = code
        self._trailing = trailing
        self.tokens: list[str | bytes] = []

    def RecordInteractions(self, _request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.tokens += [value for key, value in context.invocation_metadata() if key == "authorization"]
        context.set_trailing_metadata(self._trailing)
        context.abort(self._code, "no")

    RecordInteraction = StreamInteractions = RecordInteractions


def retry_info(seconds: int) -> bytes:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds)))
    return bytes(status_pb2.Status(code=8, message="no", details=[detail]).SerializeToString())


@pytest.mark.parametrize(
    ("code", "trailing", "answer"),
    [
        pytest.param(grpc.StatusCode.UNAVAILABLE, (), Failed("UNAVAILABLE: no"), id="down"),
        pytest.param(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            (("grpc-retry-pushback-ms", "2500"),),
            Failed("RESOURCE_EXHAUSTED: no", 2.5),
            id="pushback",
        ),
        pytest.param(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            (("grpc-status-details-bin", retry_info(4)),),
            Failed("RESOURCE_EXHAUSTED: no", 4.0),
            id="RetryInfo",
        ),
        pytest.param(
            grpc.StatusCode.UNAVAILABLE,
            (("grpc-status-details-bin", b"\xff\xff"),),
            Failed("UNAVAILABLE: no"),
            id="details that are none",
        ),
        pytest.param(grpc.StatusCode.UNAUTHENTICATED, (), Failed("UNAUTHENTICATED: no"), id="a token that is renewed"),
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, (), Unreadable("INVALID_ARGUMENT: no"), id="wrong as a whole"),
    ],
)
def test_what_grpc_answers_mean(
    code: grpc.StatusCode, trailing: tuple[tuple[str, str | bytes], ...], answer: object
) -> None:
    """gRPC A6 names the pushback, google.rpc the RetryInfo."""
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = Told(code, trailing)
    interactions_pb2_grpc.add_InteractionServiceServicer_to_server(servicer, server)  # type: ignore[arg-type]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    transport = GrpcTransport(f"127.0.0.1:{port}", metadata=lambda: (("authorization", "Bearer x"),))
    try:
        assert transport.send([event()], BOUND_S) == answer
    finally:
        transport.close()
        server.stop(0).wait()
    assert servicer.tokens == ["Bearer x"]
