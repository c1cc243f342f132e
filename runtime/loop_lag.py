"""How late the event loop is: a heartbeat that should come every 10 ms."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

BEAT_S: Final = 0.010


class LoopLag:
    """Measures how long work that is ready waits for its turn.

    Args:
        told: Called with the lateness of every beat, in seconds.
    """

    def __init__(self, told: Callable[[float], None] | None = None) -> None:
        self._told = told
        self._due = float("inf")
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts the heartbeat in the running event loop."""
        self._due = time.monotonic() + BEAT_S
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def stop(self) -> None:
        """Ends it."""
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._last_s = float("inf"), 0.0

    def lag_s(self, now: float) -> float:
        """Returns how long a request that starts now may have waited for the loop, in seconds.

        Args:
            now: The present, by `time.monotonic`.
        """
        return max(self._last_s, now - self._due)

    def _beat(self) -> None:
        self._last_s = max(0.0, time.monotonic() - self._due)
        if self._told is not None:
            self._told(self._last_s)
        self.start()
