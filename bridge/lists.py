"""Keeps the fallback lists in memory, fresh from the database and safe on disk."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeVar

import structlog

from bridge.domain.corrections import Corrections
from bridge.domain.exploration import NO_NEWCOMERS, NewcomerList, Newcomers, in_groups, unblocked
from bridge.domain.filters import Conditions
from bridge.domain.ladder import Rung, Skipped, with_corrections
from bridge.domain.lists import EditorialList, Ladders, RefreshPolicy, TrendingLists, Viewer, ladders
from bridge.domain.outcome import FallbackReason
from bridge.personal import PersonalRung
from bridge.ports import Clock, ListError, ListReader, ListStore
from bridge.telemetry import ListFailed, ListTrouble, Observer

_LOG = structlog.get_logger(__name__)

TRENDING: Final = "trending"
EDITORIAL: Final = "editorial"
NEWCOMERS: Final = "newcomers"

# With lists from the last run at hand, a database that does not answer holds up a start no longer than this.
_FIRST_REFRESH_S: Final = 2.0

# Ladders, and groups of new videos, as corrected that are kept until the next refresh: everybody's corrections of each
# segment, and some users'.
_CORRECTED: Final = 256

_ListT = TypeVar("_ListT", TrendingLists, EditorialList, NewcomerList)


class ListKeeper:
    """The port `FallbackLists`: what was read last goes on serving when nothing can be read any more.

    Args:
        reader: Where fresh lists come from.
        store: Where the last good ones are kept.
        policy: How often they are read.
        clock: Time.
        observer: Who is told of troubles.
        personal: The rung of users' own lists; None: not on the ladder.
    """

    def __init__(
        self,
        reader: ListReader,
        store: ListStore,
        policy: RefreshPolicy,
        clock: Clock,
        observer: Observer,
        personal: PersonalRung | None = None,
    ) -> None:
        self._reader = reader
        self._store = store
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._personal = personal
        self._editorial_due = self._newcomers_due = clock.monotonic()
        self._trending: TrendingLists | None = None
        self._editorial: EditorialList | None = None
        self._use(ladders(None, None))
        self._use_newcomers(None)
        self._task: asyncio.Task[None] | None = None

    async def ladder(
        self, viewer: Viewer, asked: Conditions, corrections: Corrections, reason: FallbackReason, left_s: float
    ) -> Sequence[Rung | Skipped]:
        """Returns the ladder of a request: the user's own list, if that is enabled, then what is in memory."""
        segments = self._ladders.segments_of(viewer.country, viewer.locale)
        steps = self._corrected(segments, corrections) if corrections else self._ladders.climb(segments)
        # Where no model was wanted, neither is what one ranked.
        if self._personal is None or reason is FallbackReason.NONE:
            return steps
        own = await self._personal.step(viewer.user_id, asked, reason, left_s, need_facts=corrections.need_facts)
        return (*(with_corrections([own], corrections) if corrections else [own]), *steps)

    def newcomers(self, lot: float, corrections: Corrections) -> Newcomers:
        """Returns a group of new videos, drawn by lot, without those that editors block."""
        if not self._groups:
            return NO_NEWCOMERS
        number = int(lot * len(self._groups))
        return self._unblocked(number, corrections) if corrections else self._groups[number]

    def rungs(self, country: str = "", locale: str = "") -> Sequence[Rung]:
        """Returns the ladder of a country and a locale in memory, best rung first, without corrections."""
        return self._ladders.of(country, locale)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to serve."""
        return self._ladders.empty

    def trending_age_s(self) -> float:
        """Returns how long ago trending was read, in seconds; infinite when it never was."""
        if self._trending is None:
            return float("inf")
        return max(0.0, self._clock.wall() - self._trending.refreshed_time)

    async def start(self) -> None:
        """Loads the last good lists, reads fresh ones if that works, and goes on doing so."""
        self._trending = await self._load(TRENDING, TrendingLists)
        self._editorial = await self._load(EDITORIAL, EditorialList)
        self._use(ladders(self._trending, self._editorial))
        if self._policy.newcomers:
            self._use_newcomers(await self._load(NEWCOMERS, NewcomerList))
        first = asyncio.create_task(self._try_to_refresh(), name="fallback-lists-first")
        await asyncio.wait({first}, timeout=None if self.empty else _FIRST_REFRESH_S)
        self._task = asyncio.create_task(self._keep_fresh(first), name="fallback-lists")

    async def stop(self) -> None:
        """Stops reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._personal is not None:
            await self._personal.stop()

    async def refresh(self) -> None:
        """Reads the lists whose time it is; one that cannot be read stays as it was."""
        await self._refresh_trending()
        if self._editorial is None or self._clock.monotonic() >= self._editorial_due:
            await self._refresh_editorial()
        self._use(ladders(self._trending, self._editorial))
        if self._policy.newcomers and self._clock.monotonic() >= self._newcomers_due:
            await self._refresh_newcomers()

    def _use(self, made: Ladders) -> None:
        def climb(segments: Sequence[str], corrections: Corrections) -> tuple[Rung | Skipped, ...]:
            return with_corrections(made.climb(segments), corrections)

        self._ladders = made
        self._corrected = lru_cache(maxsize=_CORRECTED)(climb)

    def _use_newcomers(self, found: NewcomerList | None) -> None:
        groups = in_groups(found)

        def group(number: int, corrections: Corrections) -> Newcomers:
            return unblocked(groups[number], corrections)

        self._groups = groups
        self._unblocked = lru_cache(maxsize=_CORRECTED)(group)

    async def _refresh_trending(self) -> None:
        try:
            self._trending = await self._reader.trending(self._clock.wall())
        except ListError:
            self._tell(TRENDING, ListTrouble.NOT_REFRESHED)
            return
        await self._save(TRENDING, self._trending)

    async def _refresh_editorial(self) -> None:
        try:
            fresh = await self._reader.editorial()
        except ListError:
            self._tell(EDITORIAL, ListTrouble.NOT_REFRESHED)
            return
        if not fresh.video_ids:  # an emptied catalogue must not leave nothing to serve
            return
        self._editorial = fresh
        self._editorial_due = self._clock.monotonic() + self._policy.editorial_s
        await self._save(EDITORIAL, fresh)

    async def _refresh_newcomers(self) -> None:
        # Whether it can be read or not: nobody misses it, and it is the dearest read of all.
        self._newcomers_due = self._clock.monotonic() + self._policy.editorial_s
        try:
            fresh = await self._reader.newcomers()
        except ListError:
            self._tell(NEWCOMERS, ListTrouble.NOT_REFRESHED)
            return
        self._use_newcomers(fresh)
        await self._save(NEWCOMERS, fresh)

    async def _keep_fresh(self, first: asyncio.Task[None]) -> None:
        await first
        while True:
            await self._clock.sleep(self._policy.trending_s)
            await self._try_to_refresh()

    async def _try_to_refresh(self) -> None:
        try:
            await self.refresh()
        except Exception:  # noqa: BLE001  # a bug here must end neither the start nor the refreshing
            _LOG.exception("bridge.refresh_failed")

    async def _load(self, name: str, kind: type[_ListT]) -> _ListT | None:
        try:
            return await self._store.load(name, kind)
        except ListError:
            self._tell(name, ListTrouble.UNREADABLE)
            return None

    async def _save(self, name: str, content: object) -> None:
        try:
            await self._store.save(name, content)
        except ListError:
            self._tell(name, ListTrouble.UNWRITABLE)

    def _tell(self, name: str, trouble: ListTrouble) -> None:
        self._observer.list_failed(ListFailed(name, trouble))
