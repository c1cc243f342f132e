"""How long to leave the service alone after a failed call."""

import math
from typing import Final

# A hint beyond this is a mistake of somebody on the way.
LONGEST_HINT_S: Final = 300.0


class Pace:
    """Exponential backoff with full jitter, on top of what the service asks for.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015; gRPC A6 for the hints.

    Args:
        first_s: Upper end of the wait after a first failure, in seconds.
        longest_s: Where the doubling ends, in seconds.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._asked_until_s = -math.inf
        self._backs_off_until_s = -math.inf

    @property
    def opens_at_s(self) -> float:
        """When the next call may be made, as a time of the caller's clock."""
        return max(self._asked_until_s, self._backs_off_until_s)

    @property
    def failures(self) -> int:
        """How many calls have failed in a row."""
        return self._failures

    def succeeded(self) -> None:
        """Ends the waiting."""
        self._failures = 0
        self._asked_until_s = self._backs_off_until_s = -math.inf

    def failed(self, now_s: float, jitter: float, hint_s: float | None) -> None:
        """Waits longer than the last time.

        Args:
            now_s: Time of the caller's clock.
            jitter: 0 up to 1, random.
            hint_s: How long the service wants to be left alone, in seconds; None: it did not say.
        """
        ceiling_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 20))
        self._failures += 1
        self._asked_until_s = now_s + min(hint_s or 0.0, LONGEST_HINT_S)
        self._backs_off_until_s = self._asked_until_s + jitter * ceiling_s

    def hurry(self) -> None:
        """Drops the waiting of our own making; what the service asked for stays."""
        self._backs_off_until_s = -math.inf
