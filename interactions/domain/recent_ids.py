"""Event ids that were seen a moment ago, within a bound."""

from collections import OrderedDict
from typing import Final

# 100 a batch; a stream of 2,000 events a second repeats itself within seconds.
DEFAULT_LIMIT: Final = 10_000


class RecentIds:
    """Remembers the newest ids.

    Args:
        limit: How many.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, event_id: str) -> bool:
        """Remembers an id; returns False when it was known."""
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)
        return True

    def discard(self, event_id: str) -> None:
        """Forgets an id."""
        self._ids.pop(event_id, None)
