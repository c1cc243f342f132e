"""Follows what users do, so that the next page knows of it."""

import asyncio
from typing import Final, Protocol

import structlog

from bridge.domain.recent import Overlap, RecentEvents, RecentPolicy
from bridge.ports import Clock, ListError, RecentReader, RecentRows
from bridge.telemetry import ListFailed, ListTrouble, Observer
from feed.recommendations.v1 import recommendations_pb2

_LOG = structlog.get_logger(__name__)

RECENT: Final = "recent"

# What the contract allows a request to carry.
_MOST: Final = 100

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


class RecentFollower:
    """Knows what came into the database. While that cannot be read, it goes on with what it knows.

    Args:
        reader: Reads the newest interactions.
        policy: How much, how often.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(self, reader: RecentReader, policy: RecentPolicy, clock: Clock, observer: Observer) -> None:
        self._reader = reader
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._events = RecentEvents(policy)
        self._trained_until_s = 0.0
        self._overlap: Overlap | None = None
        self._looked: float | None = None
        self._task: asyncio.Task[None] | None = None

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
            request.MergeFromString(b"".join(known[-room:]))

    def trained_until(self, time_s: float) -> None:
        """Says until when the model in use knows everything, in Unix seconds."""
        self._trained_until_s = time_s

    def age_s(self) -> float:
        """Returns how long ago the database was last read to its end, in seconds; infinite when it never was."""
        return float("inf") if self._looked is None else self._clock.monotonic() - self._looked

    def start(self) -> None:
        """Begins to follow; a start does not wait for the database."""
        self._task = asyncio.create_task(self._follow(), name="recent-interactions")

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Reads what is new, to its end."""
        if self._overlap is None:
            first = await self._reader.newest_row() - self._policy.events
            self._overlap = Overlap(max(0, first), self._policy.overlap_s)
        place = self._overlap.floor
        while rows := await self._reader.rows_after(place):
            self._take(rows, self._overlap)
            place = rows[-1][0]
            await asyncio.sleep(0)  # requests first
        now = self._clock.monotonic()
        self._overlap.looked(now)
        self._looked = now

    def _take(self, rows: RecentRows, overlap: Overlap) -> None:
        for row, user_id, event in rows:
            if overlap.is_new(row):
                self._events.add(user_id, event)

    async def _follow(self) -> None:
        while True:
            try:
                await self.look()
            except ListError:
                self._observer.list_failed(ListFailed(RECENT, ListTrouble.NOT_REFRESHED))
            except Exception:  # noqa: BLE001  # a bug here must not end the following
                _LOG.exception("bridge.recent_failed")
            await self._clock.sleep(self._policy.poll_s)
