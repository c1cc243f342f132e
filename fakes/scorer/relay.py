"""A TCP relay before the gRPC server that can cut a connection, which gRPC's own server cannot."""

import asyncio
import socket
import struct
from typing import Final

from runtime.servers.sockets import listen

_CHUNK_BYTES: Final = 65_536
# With this a close sends a reset instead of an orderly end.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class _Link:
    """One connection of a client, and the one to the server that stands for it."""

    def __init__(self, client: socket.socket) -> None:
        self._client = _prompt(client)
        self._server = _prompt(socket.socket())
        self._allowance: int | None = None
        self._cut = asyncio.Event()

    async def connect(self, port: int) -> int:
        """Connects to the server; returns the port that the server knows this connection by."""
        await asyncio.get_running_loop().sock_connect(self._server, ("127.0.0.1", port))
        return int(self._server.getsockname()[1])

    async def carry(self) -> None:
        """Carries bytes until one side ends, or it is cut."""
        ends = [asyncio.create_task(end) for end in (self._to_server(), self._to_client(), self._cut.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    def cut(self) -> None:
        """Resets the client's side."""
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._cut.set()

    def cut_after(self, size: int) -> None:
        """The same, after so many bytes more to the client."""
        self._allowance = size

    def close(self) -> None:
        """Closes both sides."""
        self._client.close()
        self._server.close()

    async def _to_server(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._client, _CHUNK_BYTES):
            await loop.sock_sendall(self._server, data)

    async def _to_client(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._server, _CHUNK_BYTES):
            if self._allowance is None:
                await loop.sock_sendall(self._client, data)
                continue
            await loop.sock_sendall(self._client, data[: self._allowance])
            self._allowance -= len(data)
            if self._allowance <= 0:
                self.cut()
                return


class Relay:
    """Listens in the server's place.

    Args:
        host: Address to listen on.
        port: 0 takes a free one.
        server_port: Where the server listens, on loopback.
    """

    def __init__(self, host: str, port: int, server_port: int) -> None:
        self._server_port = server_port
        self._listener = _listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._links: dict[int, _Link] = {}
        self._tasks = {asyncio.create_task(self._accept(), name="relay")}

    def cut(self, peer: str) -> None:
        """Resets the connection that a call came by, if it is still there; `peer` is the call's, as gRPC says it."""
        if link := self._links.get(_port(peer)):
            link.cut()

    def cut_after(self, peer: str, size: int) -> None:
        """Lets so many more bytes through to the client, then resets the connection."""
        if link := self._links.get(_port(peer)):
            link.cut_after(size)

    async def close(self) -> None:
        """Ends every connection."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listener)
            link = _Link(client)
            task = asyncio.create_task(self._serve(link))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _, link=link: link.close())  # type: ignore[misc]

    async def _serve(self, link: _Link) -> None:
        try:
            port = await link.connect(self._server_port)
        except OSError:  # the server is gone: so is the connection
            return
        self._links[port] = link
        try:
            await link.carry()
        finally:
            del self._links[port]


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = listen(host, port)
    except OSError as error:
        raise OSError(error.errno, f"gRPC cannot listen on {host}:{port}: is it in use?") from error
    listener.setblocking(False)
    return listener


def _prompt(connection: socket.socket) -> socket.socket:
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _port(peer: str) -> int:
    return int(peer.rpartition(":")[2])
