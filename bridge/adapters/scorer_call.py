"""Waits for a call to a scorer; one that is given up leaves nothing behind."""

import asyncio
from typing import Any, TypeVar

import grpc

AnswerT = TypeVar("AnswerT")


async def answer_of(call: "grpc.aio.UnaryUnaryCall[Any, AnswerT]") -> AnswerT:  # generic to type checkers only
    """Returns the answer to a call of one message each way; raises as awaiting it does.

    Awaited as it is, a call that is given up drops what gRPC's core still writes into: a kilobyte is never freed then
    (grpc/grpc#43360). So the core alone is told here, and grpc.aio's own task ends by itself a moment later. Neither
    has a public name.
    """
    hidden: Any = call
    try:
        await asyncio.shield(hidden._call_response)  # noqa: SLF001
    except asyncio.CancelledError:
        hidden._cython_call.cancel("given up")  # noqa: SLF001
        raise
    return await call
