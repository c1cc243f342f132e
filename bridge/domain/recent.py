"""What users did of late, in memory and within bounds."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class RecentPolicy:
    """How much is remembered, and how it is followed.

    Args:
        events: Most events of all users; at some 300 bytes each. 0: nothing is remembered.
        events_a_user: Most events of one user: more than describe a user to the model.
        poll_s: Time between two looks for new ones, in seconds.
        overlap_s: How far back each look begins, in seconds: two writers' rows need not appear in the order of their
            numbers.
    """

    events: int = 50_000
    events_a_user: int = 50
    poll_s: float = 0.5
    overlap_s: float = 1.0


class FollowedEvent(NamedTuple):
    """A row of what users do.

    Args:
        row: Its number; grows.
        user_id: Who.
        video_id: With which video.
        interaction_type: Name of the type, such as "VIEW".
        watch_time_s: Seconds watched.
        time_s: When, Unix seconds.
        rating: The user's rating, 0 to 10, or None.
    """

    row: int
    user_id: str
    video_id: str
    interaction_type: str
    watch_time_s: float
    time_s: float
    rating: float | None = None


class RecentEvents:
    """The newest events of each user; users of whom nothing came for longest are forgotten first.

    Args:
        policy: The bounds.
    """

    def __init__(self, policy: RecentPolicy) -> None:
        self._policy = policy
        self._by_user: OrderedDict[str, list[FollowedEvent]] = OrderedDict()
        self._count = 0

    @property
    def count(self) -> int:
        """How many events are remembered."""
        return self._count

    def add(self, event: FollowedEvent) -> None:
        """Remembers an event that came after all of its user before."""
        events = self._by_user.setdefault(event.user_id, [])
        self._by_user.move_to_end(event.user_id)
        events.append(event)
        self._count += 1
        if len(events) > self._policy.events_a_user:
            del events[0]
            self._count -= 1
        while self._count > self._policy.events:
            _, forgotten = self._by_user.popitem(last=False)
            self._count -= len(forgotten)

    def forget(self, user_id: str) -> bool:
        """Forgets a user; says whether there was anything."""
        forgotten = self._by_user.pop(user_id, [])
        self._count -= len(forgotten)
        return bool(forgotten)

    def since(self, user_id: str, time_s: float) -> list[FollowedEvent]:
        """Returns what a user did after a time, in the order in which it came."""
        return [event for event in self._by_user.get(user_id, ()) if event.time_s > time_s]
