"""Clients that mean harm: many at once, each by raw bytes, from an address of their own."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, Self

# Callers that mean well come from 127.0.0.1. Linux answers on all of 127.0.0.0/8.
ADDRESS: Final = "127.0.0.66"
# So many connections of a kind are opened a second.
_OPENED_PER_S: Final = 200
_FLUSH_S: Final = 5.0


class Attackers:
    """Some of them, attacking from `with` to its end; a thread of its own runs them.

    `held_s` has how long each connection lasted that the other side ended, `sent` the bytes of all.
    """

    def __init__(self) -> None:
        self.held_s: list[float] = []
        self.sent = 0
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="attackers")
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30.0)
        self._loop.close()

    def hold(self, count: int, port: int, opening: bytes = b"", slowly: bytes = b"") -> None:
        """Begins to hold connections, each until the other side ends it.

        Args:
            count: How many.
            port: Whose.
            opening: What is sent at once.
            slowly: What is sent then, a byte a second.
        """
        self._begin([self._held(number / _OPENED_PER_S, port, opening, slowly) for number in range(count)])

    def flood(self, count: int, port: int, opening: bytes, frames: Callable[[], Iterator[bytes]]) -> None:
        """Begins to send as much as is taken, over some connections."""
        self._begin([self._flooded(port, opening, frames) for _ in range(count)])

    def _begin(self, works: Sequence[Coroutine[Any, Any, None]]) -> None:
        async def begin() -> None:
            self._tasks += [asyncio.create_task(work) for work in works]

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(30.0)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        broken = [end for end in ends if isinstance(end, Exception)]
        assert broken == []

    async def _held(self, delay_s: float, port: int, opening: bytes, slowly: bytes) -> None:
        await asyncio.sleep(delay_s)
        reader, writer = await self._connected(port)
        start = time.monotonic()
        writer.write(opening)
        trickle = asyncio.create_task(_trickle(writer, slowly))
        try:
            await _ended(reader)
            self.held_s.append(time.monotonic() - start)
        finally:
            trickle.cancel()
            writer.transport.abort()

    async def _flooded(self, port: int, opening: bytes, frames: Callable[[], Iterator[bytes]]) -> None:
        while True:
            reader, writer = await self._connected(port)
            start = time.monotonic()
            ended = asyncio.create_task(_ended(reader))
            try:
                await self._send(writer, opening, frames, ended)
                self.held_s.append(time.monotonic() - start)
            finally:
                ended.cancel()
                writer.transport.abort()

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        opening: bytes,
        frames: Callable[[], Iterator[bytes]],
        ended: "asyncio.Task[None]",
    ) -> None:
        writer.write(opening)
        with contextlib.suppress(ConnectionError, TimeoutError):
            for some in frames():
                if ended.done():
                    return
                writer.write(some)
                self.sent += len(some)
                # One that is not read any more is left, as whoever floods would.
                async with asyncio.timeout(_FLUSH_S):
                    await writer.drain()
                await asyncio.sleep(0)

    async def _connected(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            self.connections += 1
            try:
                return await asyncio.open_connection("127.0.0.1", port, local_addr=(ADDRESS, 0))
            except ConnectionError:
                await asyncio.sleep(0.1)


async def _trickle(writer: asyncio.StreamWriter, content: bytes) -> None:
    for byte in content:
        await asyncio.sleep(1.0)
        writer.write(bytes([byte]))


async def _ended(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass
