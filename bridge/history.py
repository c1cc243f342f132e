"""What users have seen and been sent, so that it does not come back."""

import asyncio
import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final, Protocol, TypeAlias

from bridge.bounded_reads import BoundedReads, ReadLimits
from bridge.domain.history import (
    NOTHING_SEEN,
    RULES,
    FollowedPage,
    Histories,
    HistoryPolicy,
    Rule,
    TrainedUntil,
    newer_is_due,
    older_is_due,
)
from bridge.domain.ladder import Skip
from bridge.domain.recent import FollowedEvent
from bridge.following import Follower, FollowPolicy
from bridge.ports import Clock, HistoryReader, PageReader
from bridge.telemetry import Observer

HISTORY: Final = "history"
OLDER_HISTORY: Final = "older_history"
SERVED_PAGES: Final = "served_pages"

# A wait shorter than this is not worth it.
_SHORTEST_WAIT_S: Final = 0.001

# The older part is read until after the beginning of the newer one, so that nothing falls between them.
_OVERLAP_S: Final = 300.0


# A read under way, or why there is none.
_Read: TypeAlias = asyncio.Task[Skip | None] | Skip


class History(Protocol):
    """Knows what users have seen and been sent."""

    def begin(self, user_id: str) -> bool:
        """Begins to read what is not in memory, without waiting; says whether all that a model needs is there."""

    async def of(self, user_id: str, left_s: float) -> AbstractSet[str]:
        """Returns what must not come back; waits a few ms at most, never fails.

        What is returned may grow while it is held. Looking a video up is cheap; going through all of them is not.

        Args:
            user_id: The user.
            left_s: What is left of the request's time, in seconds; not all of it is used.
        """

    async def whole(self, user_id: str, left_s: float) -> AbstractSet[str]:
        """Returns the same, but waits some ms more for what is old: for pages that no model keeps it off."""

    def beyond_model(self, user_id: str) -> str:
        """Returns what of it the model in use does not know, parted by line feeds; does not wait."""

    def served(self, user_id: str, video_ids: Sequence[str]) -> None:
        """Says that these were just served."""

    def trained_until(self, time_s: float) -> None:
        """Says until when the model in use knows everything, in Unix seconds."""


class NoHistory:
    """Knows nothing."""

    def begin(self, user_id: str) -> bool:
        """Begins nothing: there is nothing to be known."""
        del user_id
        return True

    async def of(self, user_id: str, left_s: float) -> AbstractSet[str]:
        """Returns nothing."""
        del user_id, left_s
        return NOTHING_SEEN

    async def whole(self, user_id: str, left_s: float) -> AbstractSet[str]:
        """Returns nothing."""
        del user_id, left_s
        return NOTHING_SEEN

    def beyond_model(self, user_id: str) -> str:
        """Returns nothing."""
        del user_id
        return ""

    def served(self, user_id: str, video_ids: Sequence[str]) -> None:
        """Does nothing."""

    def trained_until(self, time_s: float) -> None:
        """Does nothing."""


class KeptHistory:
    """Reads a user's history when the user comes, and keeps it. While it cannot be read, what is known goes on.

    A page waits for the newer part alone, which is a few rows. The older part, most of a long history, is read only for
    pages that no model makes: a model keeps it off by itself.

    Args:
        reader: Where histories are.
        policy: What is kept off the pages, and how it is read.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(self, reader: HistoryReader, policy: HistoryPolicy, clock: Clock, observer: Observer) -> None:
        self._reader = reader
        self._policy = policy
        self._clock = clock
        self._memory = Histories(policy)
        self._trained = TrainedUntil(policy.swap_s)
        self._newer: BoundedReads[None] = BoundedReads(HISTORY, ReadLimits(policy.reads), clock, observer)
        older = ReadLimits(policy.older_reads)
        self._older: BoundedReads[None] = BoundedReads(OLDER_HISTORY, older, clock, observer)

    @property
    def users(self) -> int:
        """How many users' histories are in memory."""
        return self._memory.users

    @property
    def memory_bytes(self) -> int:
        """About how much memory they take."""
        return self._memory.memory_bytes

    def begin(self, user_id: str) -> bool:
        """Begins to read what is not in memory, without waiting; says whether all that a model needs is there."""
        return self._begun(user_id) is None

    async def of(self, user_id: str, left_s: float) -> AbstractSet[str]:
        """Returns what must not come back; waits a few ms at most, never fails."""
        newer = self._begun(user_id)
        if newer is not None:
            await self._wait(self._newer, newer, min(self._policy.wait_s, left_s - self._policy.margin_s))
        seen = self._memory.of(user_id)
        return NOTHING_SEEN if seen is None else seen

    async def whole(self, user_id: str, left_s: float) -> AbstractSet[str]:
        """Returns the same, but waits some ms more for what is old: for pages that no model keeps it off."""
        end = self._clock.monotonic() + left_s
        await self.of(user_id, left_s)
        seen = self._memory.of(user_id)
        is_due = seen is None or older_is_due(seen, self._policy, self._trained.time_s, self._clock.monotonic())
        if is_due and left_s > 0:  # too much to do is no time for a read
            older = self._older.start(partial(self._read_older, user_id), user_id)
            if seen is None or seen.older_read is None:
                left_s = end - self._clock.monotonic()
                await self._wait(self._older, older, min(self._policy.whole_wait_s, left_s - self._policy.margin_s))
                seen = self._memory.of(user_id)
        return NOTHING_SEEN if seen is None else seen

    def beyond_model(self, user_id: str) -> str:
        """Returns what of it the model in use does not know, parted by line feeds; does not wait."""
        seen = self._memory.of(user_id)
        return "" if seen is None else seen.beyond(self._trained.time_s)

    def served(self, user_id: str, video_ids: Sequence[str]) -> None:
        """Says that these were just served."""
        self._memory.served(user_id, video_ids, self._clock.monotonic())

    def trained_until(self, time_s: float) -> None:
        """Says until when the model in use knows everything, in Unix seconds."""
        self._trained.heard(time_s, self._clock.monotonic())

    def followed(self, row: FollowedEvent) -> None:
        """Takes something that a user did."""
        rule = RULES.get(row.interaction_type)
        window_s = self._policy.windows_s.get(rule) if rule else None
        if window_s is not None and row.time_s > self._clock.wall() - window_s:
            self._memory.followed(row.user_id, (row.video_id,), self._clock.monotonic())

    def page_followed(self, row: FollowedPage) -> None:
        """Takes a page that was served, here or elsewhere."""
        if Rule.SERVED in self._policy.windows_s and row.user_id in self._memory:
            self._memory.followed(row.user_id, json.loads(row.video_ids), self._clock.monotonic())

    def forget(self, user_id: str) -> None:
        """Forgets a user."""
        self._memory.forget(user_id)

    async def stop(self) -> None:
        """Ends what is still being read."""
        await asyncio.gather(self._newer.stop(), self._older.stop())

    def _begun(self, user_id: str) -> _Read | None:
        """Begins to read the newer part if that is due; returns the read when a page should wait for it."""
        seen = self._memory.of(user_id)
        if seen is not None and not newer_is_due(seen, self._policy, self._clock.monotonic()):
            return None
        newer = self._newer.start(partial(self._read_newer, user_id), user_id)
        return newer if seen is None or seen.newer_read is None else None

    async def _read_newer(self, user_id: str) -> None:
        now = self._clock.wall()
        seen = self._memory.peek(user_id)
        # What is older tells nothing that is newer than this.
        if seen is None or seen.older_read is None:
            # What no model was trained on must be here: the older part is not read for pages that a model makes.
            since_s = min(now - self._policy.newer_s, self._trained.time_s or now)
        else:
            since_s = seen.since_s
        text = await self._reader.newer(user_id, now, since_s)
        self._memory.read_newer(user_id, text, since_s, self._clock.monotonic())

    async def _read_older(self, user_id: str) -> None:
        now = self._clock.wall()
        until_s, trained_s = now - self._policy.newer_s + _OVERLAP_S, self._trained.time_s
        older = await self._reader.older(user_id, now, until_s, trained_s)
        self._memory.read_older(user_id, older, until_s, trained_s, self._clock.monotonic())

    @staticmethod
    async def _wait(reads: BoundedReads[None], read: _Read, longest_s: float) -> None:
        if not isinstance(read, Skip) and longest_s >= _SHORTEST_WAIT_S:
            await reads.wait(read, longest_s)


def page_follower(
    reader: PageReader, history: KeptHistory, poll_s: float, clock: Clock, observer: Observer
) -> Follower[FollowedPage]:
    """Makes what tells a history of the pages that other bridges serve."""
    return Follower(SERVED_PAGES, reader, FollowPolicy(poll_s=poll_s), history.page_followed, clock, observer)
