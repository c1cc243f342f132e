"""Lets one thing a second through for each key, and counts the rest."""

import logging
import time
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

ItemT = TypeVar("ItemT")

# A library warns of every packet that a server which is not there did not take.
_WARNING_INTERVAL_S: Final = 60.0


@dataclass(slots=True)
class _Key(Generic[ItemT]):
    """What is known of a key: when one was let through last, the last one held back, and how many were."""

    passed: float
    held: ItemT | None = None
    count: int = 0


class Throttle(Generic[ItemT]):
    """Counts what it holds back, so that nothing is lost, only summed up.

    Args:
        interval_s: Least time between two items of one key, in seconds.
    """

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s = interval_s
        self._keys: dict[str, _Key[ItemT]] = {}

    def admit(self, key: str, item: ItemT, now: float) -> int | None:
        """Returns how many were held back since the last one when this one may pass now, else None."""
        known = self._keys.get(key)
        if known is not None and now - known.passed < self._interval_s:
            known.held = item
            known.count += 1
            return None
        self._keys[key] = _Key(now)
        return known.count if known is not None else 0

    def overdue(self, now: float) -> list[tuple[ItemT, int]]:
        """Lets pass what was held back and has had no successor for an interval.

        Returns:
            The last one of each key, and how many more it stands for.
        """
        return self._release([key for key in self._keys.values() if now - key.passed >= self._interval_s], now)

    def rest(self, now: float) -> list[tuple[ItemT, int]]:
        """Lets pass whatever is held back, as `overdue` does, without waiting for the interval."""
        return self._release(list(self._keys.values()), now)

    def _release(self, keys: list[_Key[ItemT]], now: float) -> list[tuple[ItemT, int]]:
        released: list[tuple[ItemT, int]] = []
        for key in keys:
            if key.held is not None:
                released.append((key.held, key.count - 1))
                key.passed, key.held, key.count = now, None, 0
        return released


class SparseWarnings(logging.Filter):
    """Lets each warning of a library through once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._throttle: Throttle[logging.LogRecord] = Throttle(_WARNING_INTERVAL_S)

    def filter(self, record: logging.LogRecord) -> bool:
        """Says whether it may be written."""
        return self._throttle.admit(str(record.msg), record, time.monotonic()) is not None
