"""How long to wait before trying again."""

from typing import Final

FIRST_S: Final = 0.1
# A database that is back is noticed within this.
LONGEST_S: Final = 5.0


def delay_s(attempt: int, jitter: float) -> float:
    """Returns the wait before the next attempt, in seconds: doubling, up to a bound, spread by half.

    Args:
        attempt: The one that failed, from 1.
        jitter: 0 up to 1, random.
    """
    whole = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt - 1, 10))
    return whole * (1.0 - jitter / 2)
