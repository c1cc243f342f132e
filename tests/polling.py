"""Waiting for a condition, with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.05
# A wait that passes costs nothing, however long a busy machine might be given.
BOUND_S = 30.0


async def until(ask: Callable[[], Awaitable[T]], expected: T, bound_s: float = BOUND_S) -> None:
    """Asks until the answer is as expected; fails with the last answer."""
    end = time.monotonic() + bound_s
    while (answer := await ask()) != expected:
        assert time.monotonic() < end, f"still {answer!r}, not {expected!r}, after {bound_s} s"
        await asyncio.sleep(POLL_S)


def wait_for(ask: Callable[[], T], accept: Callable[[T], bool], bound_s: float = BOUND_S) -> T:
    """Asks until the answer is accepted; fails with the last answer."""
    end = time.monotonic() + bound_s
    while not accept(answer := ask()):
        assert time.monotonic() < end, f"still {answer!r} after {bound_s} s"
        time.sleep(POLL_S)
    return answer
