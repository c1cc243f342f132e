"""Calls to a scorer that nobody waits for any more: the scorer stops, and nothing of them is left in memory."""

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import pytest

from bridge.adapters.scorer_grpc import GrpcScorer
from feed.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from tests.polling import until

AT_ONCE: Final = 50
# What one call left behind before (grpc/grpc#43360).
LEAK_BYTES: Final = 900


class Slow(scoring_pb2_grpc.ScoringServiceServicer):
    """Never answers; counts who waits."""

    def __init__(self) -> None:
        self.waiting = 0

    async def Rank(self, request: Any, context: Any) -> Any:  # noqa: N802
        del request, context
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting -= 1

    RankBatch = Explain = GetModelInfo = Rank


class _Allocated(ctypes.Structure):
    """`struct mallinfo2` of malloc.h."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    )


def allocated_bytes() -> int:
    """What the C library has given out; what Python takes for its small objects counts as a whole or not at all."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Allocated
    found = libc.mallinfo2()
    return int(found.uordblks + found.hblkhd)


@asynccontextmanager
async def scorer() -> AsyncIterator[tuple[Slow, GrpcScorer]]:
    server, slow = grpc.aio.server(), Slow()
    scoring_pb2_grpc.add_ScoringServiceServicer_to_server(slow, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    calls = GrpcScorer(f"127.0.0.1:{port}")
    try:
        yield slow, calls
    finally:
        await calls.close()
        await server.stop(None)


@pytest.mark.parametrize("users", [1, 2])
async def test_a_call_that_is_given_up_leaves_nothing(users: int) -> None:
    async with scorer() as (slow, calls):

        async def waiting() -> int:
            return slow.waiting

        async def give_up(times: int) -> None:
            for _ in range(times):
                asked = [scoring_pb2.RankRequest(user_id="u1")] * users
                tasks = [asyncio.create_task(calls.rank(asked, 30.0)) for _ in range(AT_ONCE)]
                await until(waiting, AT_ONCE)
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                assert {type(end) for end in ends} == {asyncio.CancelledError}
                await until(waiting, 0)

        await give_up(5)
        before = allocated_bytes()
        await give_up(20)
        assert allocated_bytes() - before < 20 * AT_ONCE * LEAK_BYTES / 3
