"""Connections over HTTP that are too many, too slow or too large are ended, and the others are not."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runtime.servers.connections import Connections
from runtime.servers.http_protocol import Bounds
from runtime.servers.http_server import HttpServer
from runtime.servers.json_http import json_response, read_json
from runtime.servers.sockets import listen
from tests.http import call
from tests.polling import until

# As long as anything may take that ends by itself.
BOUND_S: Final = 20.0
POST: Final = b"POST /echo HTTP/1.1\r\nhost: feed\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n"


class Server:
    """What serves, and what it told of."""

    def __init__(self, port: int, told: list[str]) -> None:
        self.port = port
        self.told = told

    async def says(self, *sent: bytes, address: str = "127.0.0.1", sends_on: Callable[[], bytes] | None = None) -> str:
        """What a client hears until the other side ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        async with AsyncExitStack() as closing:
            closing.callback(writer.close)
            for some in sent:
                writer.write(some)
            if sends_on is not None:
                trickle = asyncio.create_task(_trickle(writer, sends_on()))
                closing.callback(trickle.cancel)
            return await asyncio.wait_for(_heard(reader), BOUND_S)
        raise AssertionError


async def _heard(reader: asyncio.StreamReader) -> str:
    heard = b""
    # Whoever sends on to an ended connection has it reset, after he was answered.
    with contextlib.suppress(ConnectionError):
        while some := await reader.read(65_536):
            heard += some
    return heard.decode()


async def _trickle(writer: asyncio.StreamWriter, some: bytes) -> None:
    for byte in some:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(receipt_s: float = 0.3, reader_s: float = 0.3, most: int = 100, of_peer: int = 100):
    told: list[str] = []

    async def echo(request: Request) -> Response:
        return json_response({"bytes": len(await read_json(request, 100))})

    async def large(_request: Request) -> Response:
        return Response(b"x" * 50_000_000)

    routes = [Route("/echo", echo, methods=["POST"]), Route("/large", large)]
    listener = listen("127.0.0.1", 0)
    bounds = Bounds(Connections(most, of_peer), told.append, receipt_s, reader_s)
    server = HttpServer(Starlette(routes=routes), listener, bounds)
    running = asyncio.create_task(server.run_until_stopped())
    try:
        yield Server(listener.getsockname()[1], told)
    finally:
        server.should_exit = True
        await running
        listener.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made


async def test_who_says_nothing_is_left(server: Server):
    assert await server.says() == ""
    assert server.told == ["slow_request"]


@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        pytest.param(b"", b"GET /echo HTTP/1.1\r\nx-filler: " + b"x" * 1000, id="head"),
        pytest.param(POST, b"x" * 1000, id="body"),
    ],
)
async def test_each_byte_does_not_begin_the_time_anew(server: Server, at_once: bytes, slowly: bytes):
    said = await server.says(at_once, sends_on=lambda: slowly)
    assert said.count("408 Request Timeout") == 1
    assert "REQUEST_TOO_SLOW" in said
    assert "connection: close" in said
    assert server.told == ["slow_request"]


async def test_empty_lines_are_no_request(server: Server):
    assert await server.says(sends_on=lambda: b"\r\n" * 1000) == ""
    said = await server.says(POST + b"x" * 50, sends_on=lambda: b"\r\n" * 1000)
    assert said.endswith('{"bytes":50}')
    assert server.told == ["slow_request"] * 2


async def test_the_time_to_receive_is_not_the_time_to_answer_nor_to_rest(server: Server):
    """Two requests over one connection, with a rest between them that is longer than one may take to come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(2):
        writer.write(POST + b"x" * 50)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(12) == b'{"bytes":50}'
        await asyncio.sleep(0.5)
    writer.close()
    assert server.told == []


async def test_a_head_has_an_end(server: Server):
    said = await server.says(b"GET /echo HTTP/1.1\r\nhost: feed\r\nx-filler: " + b"x" * 100_000)
    assert "431 Request Header Fields Too Large" in said
    assert "HEAD_TOO_LARGE" in said
    fits = await server.says(b"GET /echo HTTP/1.1\r\nconnection: close\r\nx-filler: " + b"x" * 60_000 + b"\r\n\r\n")
    assert "405" in fits


@pytest.mark.parametrize("characters", [65_520, 65_536, 70_000])
async def test_a_target_has_an_end_too(server: Server, characters: int):
    """The parser of targets takes 65,535 bytes, and says no more than that something is wrong."""
    said = await server.says(
        b"GET /echo?" + b"x" * (characters - 6) + b" HTTP/1.1\r\nhost: feed\r\nx-more: 1234567890\r\n\r\n"
    )
    assert "431 Request Header Fields Too Large" in said
    assert "HEAD_TOO_LARGE" in said


async def test_what_is_no_request_is_answered_as_every_other_problem(server: Server):
    said = await server.says(b"NONSENSE\r\n\r\n")
    head, _, body = said.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 400 Bad Request\r\n")
    assert "content-type: application/problem+json" in head
    assert "connection: close" in head
    assert json.loads(body)["reason"] == "NOT_HTTP"
    assert said.count("HTTP/1.1") == 1


async def test_a_body_that_is_no_http_is_answered_once(server: Server):
    chunked = (
        b"POST /echo HTTP/1.1\r\nhost: feed\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    said = await server.says(chunked + b"no size\r\n")
    assert said.count("HTTP/1.1") == 1
    assert "NOT_HTTP" in said


async def test_who_sends_on_after_he_was_refused_is_cut_off(server: Server):
    body = b"x" * 1_000_000
    head = POST.replace(b"50", b"1000000000")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            writer.write(body)
            await writer.drain()
    assert reader.at_eof() or isinstance(reader.exception(), ConnectionError)


async def test_who_does_not_read_is_left(server: Server):
    with socket.create_connection(("127.0.0.1", server.port)) as lazy:
        lazy.sendall(b"GET /large HTTP/1.1\r\nhost: feed\r\n\r\n")
        await until(lambda: _told(server), ["slow_reader"])


async def _told(server: Server) -> list[str]:
    return server.told


async def test_connections_are_counted_by_address_and_in_all():
    async with serving(receipt_s=30, most=3, of_peer=2) as server, AsyncExitStack() as closing:
        for address in ("127.0.0.66", "127.0.0.66", "127.0.0.67"):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0))
            closing.callback(writer.close)
        assert "503 Service Unavailable" in await server.says()
        assert server.told == ["connections"]


async def test_of_one_address_there_may_be_only_some_until_one_ends():
    async with serving(receipt_s=30, of_peer=1) as server:
        _, held = await asyncio.open_connection("127.0.0.1", server.port, local_addr=("127.0.0.66", 0))
        said = await server.says(address="127.0.0.66")
        assert "retry-after: 1" in said
        assert "PEER_CONNECTIONS" in said
        assert (await call(server.port, "GET", "/echo")).status == 405
        held.close()

        async def taken() -> bool:
            return "405" in await server.says(b"GET /echo HTTP/1.1\r\nconnection: close\r\n\r\n", address="127.0.0.66")

        await until(taken, expected=True)
