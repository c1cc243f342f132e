"""Lets one log line a second through for each reason, and counts the rest."""


class Throttle:
    """Counts what it holds back, so that nothing is lost, only summed up.

    Args:
        interval_s: Least time between two lines of one key, in seconds.
    """

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s = interval_s
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def admit(self, key: str, now: float) -> int | None:
        """Returns how many were held back since the last line when one may be written now, else None."""
        last = self._last.get(key)
        if last is not None and now - last < self._interval_s:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        self._last[key] = now
        return self._held.pop(key, 0)
