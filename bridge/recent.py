"""Follows what users do, so that the next page knows of it."""

from functools import lru_cache
from typing import Final, Protocol

from bridge import wire
from bridge.domain.recent import FollowedEvent, RecentEvents, RecentPolicy
from bridge.following import Follower, FollowPolicy
from bridge.ports import Clock, RecentReader
from bridge.telemetry import Observer
from feed.recommendations.v1 import recommendations_pb2

RECENT: Final = "recent"

# What the contract allows a request to carry.
_MOST: Final = 100

# A millisecond or two to make into values.
_ROWS_A_READ: Final = 500

# At some 300 bytes each.
_MOST_ON_THE_WIRE: Final = 10_000

Request = recommendations_pb2.GetRecommendationsRequest


class Recent(Protocol):
    """Knows what a user did of late."""

    def complete(self, request: Request) -> None:
        """Adds what the user did of late to what the request says of it."""

    def trained_until(self, time_s: float) -> None:
        """Says until when the model in use knows everything, in Unix seconds."""


class NothingRecent:
    """Knows nothing."""

    def complete(self, request: Request) -> None:
        """Leaves the request as it is."""

    def trained_until(self, time_s: float) -> None:
        """Does nothing."""


class Watcher(Protocol):
    """Somebody else who wants to know what users do."""

    def followed(self, row: FollowedEvent) -> None:
        """Takes something that a user did."""


class RecentFollower(Follower[FollowedEvent]):
    """Knows what came into the database. While that cannot be read, it goes on with what it knows.

    Args:
        reader: Reads the newest interactions.
        policy: How much, how often.
        clock: Time.
        observer: Who is told of troubles.
        watcher: Who else is told of each interaction; None: nobody.
    """

    def __init__(
        self,
        reader: RecentReader,
        policy: RecentPolicy,
        clock: Clock,
        observer: Observer,
        watcher: Watcher | None = None,
    ) -> None:
        follow = FollowPolicy(
            backlog=policy.events, poll_s=policy.poll_s, rows_a_read=_ROWS_A_READ, overlap_s=policy.overlap_s
        )
        super().__init__(RECENT, reader, follow, self._remember, clock, observer)
        self._events = RecentEvents(policy)
        self._watcher = watcher
        self._trained_until_s = 0.0
        # Few of those remembered are ever told of, and these on each page that their user asks for.
        self._on_the_wire = lru_cache(maxsize=_MOST_ON_THE_WIRE)(wire.with_interaction)

    @property
    def count(self) -> int:
        """How many events are remembered."""
        return self._events.count

    def complete(self, request: Request) -> None:
        """Adds what the model does not know; what the request itself says comes first when there is too much."""
        known = self._events.since(request.user_id, self._trained_until_s)
        room = _MOST - len(request.recent_interactions)
        if known and room > 0:
            # Each is a request that holds one interaction, so that joined they are one that holds them all.
            request.MergeFromString(b"".join(map(self._on_the_wire, known[-room:])))

    def trained_until(self, time_s: float) -> None:
        """Says until when the model in use knows everything, in Unix seconds."""
        self._trained_until_s = time_s

    def forget(self, user_id: str) -> None:
        """Forgets a user."""
        if self._events.forget(user_id):
            self._on_the_wire.cache_clear()

    def _remember(self, row: FollowedEvent) -> None:
        self._events.add(row)
        if self._watcher is not None:
            self._watcher.followed(row)
