"""Follows the scorers' own word on their health, so that nobody waits for a breaker longer than needed."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from bridge.pool import Member
from bridge.ports import Clock

# One missed answer of who has answered before.
_HICCUPS: Final = 1


class Checked(Protocol):
    """A scorer that can be asked how it is."""

    async def serving(self, timeout_s: float) -> bool:
        """Says whether it serves."""


class HealthWatch:
    """Asks each scorer for its health, over and over.

    One that does not serve, as when it drains or is not there yet, is asked for rankings last: more may be named than
    there are, so that others may come. One that serves again is probed at once, whatever its breaker's open time. Only
    that change counts: a scorer that says it serves but fails its calls stays with the breaker's own, doubling, open
    times.

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
        missed, allowed = 0, 0  # who has never answered may not be there at all
        while True:
            if await scorer.serving(self._timeout_s):
                missed, allowed = 0, _HICCUPS
                if not member.serving:
                    member.returned(self._clock.monotonic())
            else:
                missed += 1
                if missed > allowed:
                    member.went()
            await self._clock.sleep(self._interval_s)
