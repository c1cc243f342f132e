"""Follows the scorers' own word on their health, so that nobody waits for a breaker longer than needed."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from bridge.pool import Member
from bridge.ports import Clock

# One missed answer may be a hiccup.
_MISSES: Final = 2


class Checked(Protocol):
    """A scorer that can be asked how it is."""

    async def serving(self, timeout_s: float) -> bool:
        """Says whether it serves."""


class HealthWatch:
    """Asks each scorer for its health, over and over.

    One that does not serve, as when it drains, is asked for rankings last. One that serves again is probed at once,
    whatever its breaker's open time. Only that change counts: a scorer that says it serves but fails its calls stays
    with the breaker's own, doubling, open times.

    Args:
        watched: The scorers, each with its place in the pool.
        interval_s: Time between two questions, in seconds.
        timeout_s: Longest wait for an answer; that of an attempt, so that a slow scorer does not count as up.
        clock: Time.
    """

    def __init__(
        self, watched: Sequence[tuple[Checked, Member]], interval_s: float, timeout_s: float, clock: Clock
    ) -> None:
        self._watched = tuple(watched)
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts watching."""
        self._tasks = [asyncio.create_task(self._watch(*pair), name="scorer-health") for pair in self._watched]

    async def stop(self) -> None:
        """Stops watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, scorer: Checked, member: Member) -> None:
        missed = 0
        while True:
            await self._clock.sleep(self._interval_s)
            if await scorer.serving(self._timeout_s):
                missed = 0
                if not member.serving:
                    member.returned(self._clock.monotonic())
            else:
                missed += 1
                if missed >= _MISSES:
                    member.went()
