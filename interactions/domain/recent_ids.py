"""What is known of ids that were seen a moment ago, within bounds."""

import math
from typing import Generic, TypeVar

T = TypeVar("T")


class RecentIds(Generic[T]):
    """Remembers one thing about each of the newest ids.

    It forgets by halves: once the young half is full or old enough it becomes the old half, and the old one is gone.
    So no id needs a time of its own, and each costs the same however many there are.

    Args:
        limit: How many ids at most; the newest half of that is always remembered.
        max_age_s: How long at most while new ids come, in seconds; half of that always.
    """

    def __init__(self, limit: int, max_age_s: float = math.inf) -> None:
        self._half_limit = max(1, limit // 2)
        self._half_age_s = max_age_s / 2
        self._young: dict[str, T] = {}
        self._old: dict[str, T] = {}
        self._young_since_s = -math.inf

    def get(self, event_id: str) -> T | None:
        """Returns what is known of an id, None when nothing is."""
        known = self._young.get(event_id)
        return self._old.get(event_id) if known is None else known

    def put(self, event_id: str, known: T, now_s: float) -> None:
        """Remembers something of an id.

        Args:
            event_id: The id.
            known: What is to be remembered.
            now_s: Monotonic time, in seconds.
        """
        age_s = now_s - self._young_since_s
        if len(self._young) >= self._half_limit or age_s >= self._half_age_s:
            self._old = self._young if age_s < 2 * self._half_age_s else {}
            self._young = {}
            self._young_since_s = now_s
        self._young[event_id] = known

    def forget(self, event_id: str) -> None:
        """Forgets an id."""
        self._young.pop(event_id, None)
        self._old.pop(event_id, None)

    def __len__(self) -> int:
        """Returns how many ids are remembered."""
        return len(self._young) + len(self._old)
