"""How long calls wait before Python takes them: the process knocks at its own door.

gRPC takes calls off the network in threads of its own and keeps those that Python has not asked for yet in a queue that
no interface shows. Measured at four times capacity: calls were 5 s old when their handlers began, while the event loop
was 0.1 ms late and three calls were under way. Only a call that stands in the same queue can tell.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TypeAlias

import grpc

from runtime.loop_lag import LoopLag

# No message of any type: field number 0 does not exist. The edge answers it before everything else.
KNOCK: Final = b"\x00knock"
# What it answers, unlike gRPC when it refuses a call.
KNOCK_CODE: Final = grpc.StatusCode.OUT_OF_RANGE

# Time between knocks, in seconds: a knock costs as much as a call, and is worth it as soon as there is a queue.
_CALM_S: Final = 0.1
_PRESSED_S: Final = 0.02
# A longer wait than this is a queue, in seconds.
_QUEUE_S: Final = 0.04
# Longest wait for an answer, in seconds.
_PATIENCE_S: Final = 1.0
# Longest life of what a knock has told, in seconds.
_MEMORY_S: Final = 0.3

# Typed for mypy only: grpc's class takes no parameters at run time.
_Knock: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"


class FrontDoor:
    """Measures the wait before one method, by calling it.

    Args:
        method: Full path of the method; each has its own queue in gRPC.
        max_waiting: So many calls may wait there (gRPC's own bound is 1,000). Of more than that gRPC refuses a growing
            share by itself, of half as many again all of them, in its own words: CANCELLED.
        busy_calls: With fewer calls than this since the last knock there is no queue, and no knock.
    """

    def __init__(self, method: str, *, max_waiting: int, busy_calls: int = 20) -> None:
        self.max_waiting = max_waiting
        self._method = method
        self._busy_calls = busy_calls
        self._loop_lag = LoopLag()
        self._calls = 0
        self._knocked: float | None = None
        self._waited_s = 0.0
        self._answered = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def lag_s(self, now: float) -> float:
        """Returns how long a call that begins now may have waited, in seconds. Ask once a call: it counts them.

        Args:
            now: The present, by `time.monotonic`.
        """
        self._calls += 1
        # A call that begins now came before a knock that is still waiting.
        waiting_s = now - self._knocked if self._knocked is not None else 0.0
        told_s = self._waited_s if now - self._answered < _MEMORY_S else 0.0
        return max(waiting_s, told_s, self._loop_lag.lag_s(now))

    def start(self, address: str, told: Callable[[float], None]) -> None:
        """Starts to measure.

        Args:
            address: Where the server listens for nobody but itself.
            told: Called with every measured wait, in seconds.
        """
        self._loop_lag.start()
        self._task = asyncio.create_task(self._watch(address, told), name="front-door")

    async def stop(self) -> None:
        """Ends it."""
        self._loop_lag.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self, address: str, told: Callable[[float], None]) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            knock: _Knock = channel.unary_unary(self._method)
            while True:
                pressed = self._waited_s > _QUEUE_S
                await asyncio.sleep(_PRESSED_S if pressed else _CALM_S)
                if (pressed or self._calls >= self._busy_calls) and await self._answers(knock):
                    self._calls = 0
                    told(self._waited_s)

    async def _answers(self, knock: _Knock) -> bool:
        """Knocks once; False when gRPC refused the knock, as it does when too many calls wait."""
        self._knocked = start = time.monotonic()
        code = await knock(KNOCK, timeout=_PATIENCE_S).code()
        self._knocked = None
        if code is not KNOCK_CODE:
            return False
        self._answered = time.monotonic()
        self._waited_s = self._answered - start
        return True


@contextlib.asynccontextmanager
async def watched(
    doors: Sequence[FrontDoor], server: grpc.aio.Server, told: Callable[[float], None]
) -> AsyncIterator[None]:
    """Lets each measure; enter it before the server starts.

    Args:
        doors: Who measures.
        server: Whose calls; it also listens on a socket that nobody else can reach, because behind a shared port a
            knock could land at another worker.
        told: Called with every measured wait, in seconds.
    """
    with tempfile.TemporaryDirectory(prefix="feed-") as folder:
        address = f"unix:{folder}/door"
        server.add_insecure_port(address)
        for door in doors:
            door.start(address, told)
        try:
            yield
        finally:
            for door in doors:
                await door.stop()
