"""What users did of late, in memory and within bounds."""

from collections import OrderedDict, deque
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


class RecentEvent(NamedTuple):
    """Something that a user did.

    Args:
        time_s: When, Unix seconds.
        message: It, as it is told to a scorer.
    """

    time_s: float
    message: bytes


class RecentEvents:
    """The newest events of each user; users of whom nothing came for longest are forgotten first.

    Args:
        policy: The bounds.
    """

    def __init__(self, policy: RecentPolicy) -> None:
        self._policy = policy
        self._by_user: OrderedDict[str, list[RecentEvent]] = OrderedDict()
        self._count = 0

    @property
    def count(self) -> int:
        """How many events are remembered."""
        return self._count

    def add(self, user_id: str, event: RecentEvent) -> None:
        """Remembers an event that came after all of its user before."""
        events = self._by_user.setdefault(user_id, [])
        self._by_user.move_to_end(user_id)
        events.append(event)
        self._count += 1
        if len(events) > self._policy.events_a_user:
            del events[0]
            self._count -= 1
        while self._count > self._policy.events:
            _, forgotten = self._by_user.popitem(last=False)
            self._count -= len(forgotten)

    def since(self, user_id: str, time_s: float) -> list[bytes]:
        """Returns what a user did after a time, in the order in which it came."""
        return [event.message for event in self._by_user.get(user_id, ()) if event.time_s > time_s]


class Overlap:
    """Says from where to look for rows whose numbers may appear out of order, and which of them are known.

    Args:
        newest: The row from which on it looks.
        overlap_s: How long a number that was skipped may still appear, in seconds.
    """

    def __init__(self, newest: int, overlap_s: float) -> None:
        self._overlap_s = overlap_s
        self._floor = self._newest = newest
        self._seen: set[int] = set()
        self._marks: deque[tuple[float, int]] = deque()

    @property
    def floor(self) -> int:
        """The row after which to look."""
        return self._floor

    def is_new(self, row: int) -> bool:
        """Says whether a row is seen for the first time, and remembers it."""
        if row in self._seen:
            return False
        self._seen.add(row)
        self._newest = max(self._newest, row)
        return True

    def looked(self, now: float) -> None:
        """Ends a look: numbers below what was newest an overlap ago do not appear any more."""
        self._marks.append((now, self._newest))
        while now - self._marks[0][0] >= self._overlap_s:
            self._floor = self._marks.popleft()[1]
            if not self._marks:
                break
        self._seen = {row for row in self._seen if row > self._floor}
