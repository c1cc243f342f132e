"""The machine's clock and randomness."""

import asyncio
import random
import time


class SystemClock:
    """The port `Clock` on the machine's clocks."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)


class SystemChance:
    """The port `Chance` on the standard library."""

    def jitter(self) -> float:
        """Returns a random number in [0, 1); it spreads load and guards nothing."""
        return random.random()  # noqa: S311

    def new_id(self) -> str:
        """Returns 128 random bits in hexadecimal.

        They name a page and need not be unguessable: what must be trusted is signed. Asking the kernel for them, as
        `uuid4` does, costs ten times as much, twice a page.
        """
        return f"{random.getrandbits(128):032x}"
