"""Notices when a scorer that was down is up again, so that nobody waits for a breaker longer than needed."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from bridge.domain.breaker import Breaker, State
from bridge.ports import Clock


class Checked(Protocol):
    """A scorer that can be asked how it is."""

    async def serving(self, timeout_s: float) -> bool:
        """Says whether it serves."""


class HealthWatch:
    """While a breaker is open, asks its scorer for its health.

    Only a change counts: seen down, then seen serving. A scorer that says it serves but fails its calls stays
    with the breaker's own, doubling, open times.

    Args:
        watched: The scorers, each with its breaker.
        interval_s: Time between two questions, in seconds.
        timeout_s: Longest wait for an answer; that of an attempt, so that a slow scorer does not count as up.
        clock: Time.
    """

    def __init__(
        self, watched: Sequence[tuple[Checked, Breaker]], interval_s: float, timeout_s: float, clock: Clock
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

    async def _watch(self, scorer: Checked, breaker: Breaker) -> None:
        seen_down = False
        while True:
            await self._clock.sleep(self._interval_s)
            if breaker.state is not State.OPEN:
                seen_down = False
            elif not await scorer.serving(self._timeout_s):
                seen_down = True
            elif seen_down:
                breaker.returned()
                seen_down = False
