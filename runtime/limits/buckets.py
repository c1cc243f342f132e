"""Token buckets, one for each key: a steady rate, and a store for bursts."""

from collections import OrderedDict
from typing import Final

# What floats make of an exact rate, in seconds.
_ROUNDING_S: Final = 1e-9


class Buckets:
    """Says how long each key has to wait for its next token; never more keys than a bound.

    A bucket is one number, the instant at which it will be full again (GCRA, the generic cell rate algorithm), and a
    full bucket is none at all. Beyond the bound the bucket that was used longest ago is forgotten, that is, full.

    Args:
        per_s: Tokens a second.
        burst: Tokens in a full bucket, at least 1.
        max_keys: So many buckets are kept.
    """

    def __init__(self, per_s: float, burst: int, max_keys: int) -> None:
        self._interval_s = 1.0 / per_s
        self._slack_s = (burst - 1) * self._interval_s
        self._max_keys = max_keys
        self._full: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Returns how many buckets are kept."""
        return len(self._full)

    def take(self, key: str, now: float) -> float:
        """Takes a token out of the bucket of a key.

        Args:
            key: Whose.
            now: The present, by a monotonic clock, in seconds.

        Returns:
            0.0 when it was taken; else nothing was, and there is one in so many seconds.
        """
        full = max(self._full.get(key, now), now)
        wait_s = full - now - self._slack_s
        if wait_s > _ROUNDING_S:
            return wait_s
        self._full[key] = full + self._interval_s
        self._full.move_to_end(key)
        if len(self._full) > self._max_keys:
            self._full.popitem(last=False)
        return 0.0
