"""The relay cuts connections where it is told to, and is in nobody's way before."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fakes.scorer.relay import Relay

BOUND_S = 10.0


class Server:
    """Sends back what it gets, and knows its callers as a gRPC server does."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.one_ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")
        self.peers.append(f"ipv4:{host}:{port}")
        while data := await reader.read(65_536):
            writer.write(data)
        self.one_ended.set()
        writer.close()


@asynccontextmanager
async def relayed() -> AsyncIterator[tuple[Server, Relay]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1")
    relay = Relay("127.0.0.1", 0, listening.sockets[0].getsockname()[1])
    try:
        yield server, relay
    finally:
        await relay.close()
        listening.close()


async def connect(relay: Relay) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", relay.port)


async def test_bytes_pass_whole_both_ways() -> None:
    async with relayed() as (_, relay), asyncio.timeout(BOUND_S):
        reader, writer = await connect(relay)
        sent = bytes(range(256)) * 40_000  # more than any buffer on the way
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        writer.close()


async def test_a_cut_resets_that_connection_and_no_other() -> None:
    async with relayed() as (server, relay), asyncio.timeout(BOUND_S):
        kept_reader, kept_writer = await connect(relay)
        kept_writer.write(b"kept")
        await kept_reader.readexactly(4)
        reader, writer = await connect(relay)
        writer.write(b"cut")
        await reader.readexactly(3)
        relay.cut(server.peers[1])
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await server.one_ended.wait()  # the server learns of it
        kept_writer.write(b"on")
        assert await kept_reader.readexactly(2) == b"on"
        kept_writer.close()
        writer.close()


async def test_so_many_bytes_more_and_then_a_reset() -> None:
    loop = asyncio.get_running_loop()
    async with relayed() as (server, relay), asyncio.timeout(BOUND_S):
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            client.setblocking(False)
            await loop.sock_sendall(client, b"x")
            await loop.sock_recv(client, 1)
            relay.cut_after(server.peers[0], 1_000)
            await loop.sock_sendall(client, bytes(5_000))
            received = 0
            with pytest.raises(ConnectionResetError):
                while data := await loop.sock_recv(client, 65_536):
                    received += len(data)
        assert received == 1_000


async def test_a_caller_that_leaves_leaves_the_server_too() -> None:
    async with relayed() as (server, relay), asyncio.timeout(BOUND_S):
        reader, writer = await connect(relay)
        writer.write(b"x")
        await reader.readexactly(1)
        writer.close()
        await server.one_ended.wait()
        relay.cut(server.peers[0])  # nothing is left to cut


async def test_without_a_server_callers_are_let_go() -> None:
    gone = await asyncio.start_server(lambda *_: None, "127.0.0.1")
    port = gone.sockets[0].getsockname()[1]
    gone.close()
    relay = Relay("127.0.0.1", 0, port)
    async with asyncio.timeout(BOUND_S):
        reader, writer = await connect(relay)
        assert await reader.read() == b""
        writer.close()
    await relay.close()


async def test_a_port_in_use_is_said() -> None:
    async with relayed() as (_, relay):
        with pytest.raises(OSError, match=f"gRPC cannot listen on 127.0.0.1:{relay.port}: is it in use?"):
            Relay("127.0.0.1", relay.port, 1)
