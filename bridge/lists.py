"""Keeps the fallback lists in memory, fresh from the database and safe on disk."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import structlog

from bridge.adapters.lists_file import ListFileError, load, save
from bridge.domain.filters import VideoFacts
from bridge.domain.ladder import Rung
from bridge.domain.lists import EditorialList, TrendingLists, ladders
from bridge.ports import Clock, ListError, ListReader
from bridge.telemetry import ListFailed, ListTrouble, Observer

_LOG = structlog.get_logger(__name__)

TRENDING_FILE: Final = "trending.json"
EDITORIAL_FILE: Final = "editorial.json"

_ListT = TypeVar("_ListT", TrendingLists, EditorialList)


class ListKeeper:
    """The port `FallbackLists`: what was read last goes on serving when nothing can be read any more.

    Args:
        reader: Where fresh lists come from.
        folder: Where the last good ones are kept.
        refresh_s: Time between two reads, in seconds.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(self, reader: ListReader, folder: Path, refresh_s: float, clock: Clock, observer: Observer) -> None:
        self._reader = reader
        self._folder = folder
        self._refresh_s = refresh_s
        self._clock = clock
        self._observer = observer
        self._trending: TrendingLists | None = None
        self._editorial: EditorialList | None = None
        self._ladders = ladders(None, None)
        self._task: asyncio.Task[None] | None = None

    def rungs(self, country: str) -> Sequence[Rung]:
        """Returns the ladder for a country, best rung first."""
        return self._ladders.countries.get(country, self._ladders.everybody)

    @property
    def facts(self) -> Mapping[str, VideoFacts]:
        """What is known of the videos on the lists."""
        return self._ladders.facts

    @property
    def empty(self) -> bool:
        """Whether there is nothing to serve."""
        return not any(rung.video_ids for rung in self._ladders.everybody)

    def trending_age_s(self) -> float:
        """Returns how long ago trending was read, in seconds; infinite when it never was."""
        if self._trending is None:
            return float("inf")
        return max(0.0, self._clock.wall() - self._trending.refreshed_time)

    async def start(self) -> None:
        """Loads the last good lists, reads fresh ones if that works, and goes on doing so."""
        self._trending = self._load(TRENDING_FILE, TrendingLists)
        self._editorial = self._load(EDITORIAL_FILE, EditorialList)
        self._ladders = ladders(self._trending, self._editorial)
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh(), name="fallback-lists")

    async def stop(self) -> None:
        """Stops reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def refresh(self) -> None:
        """Reads each list once; one that cannot be read stays as it was."""
        try:
            self._trending = await self._reader.trending(self._clock.wall())
            await self._save(TRENDING_FILE, self._trending)
        except ListError:
            self._tell(TRENDING_FILE, ListTrouble.NOT_REFRESHED)
        try:
            editorial = await self._reader.editorial()
            if editorial.video_ids:  # an emptied catalogue must not leave nothing to serve
                self._editorial = editorial
                await self._save(EDITORIAL_FILE, editorial)
        except ListError:
            self._tell(EDITORIAL_FILE, ListTrouble.NOT_REFRESHED)
        self._ladders = ladders(self._trending, self._editorial)

    async def _keep_fresh(self) -> None:
        while True:
            await self._clock.sleep(self._refresh_s)
            try:
                await self.refresh()
            except Exception:  # noqa: BLE001  # a bug here must not end the refreshing
                _LOG.exception("bridge.refresh_failed")

    def _load(self, name: str, kind: type[_ListT]) -> _ListT | None:
        try:
            return load(self._folder / name, kind)
        except ListFileError:
            self._tell(name, ListTrouble.UNREADABLE)
            return None

    async def _save(self, name: str, content: object) -> None:
        try:
            await asyncio.to_thread(save, self._folder / name, content)
        except ListFileError:
            self._tell(name, ListTrouble.UNWRITABLE)

    def _tell(self, name: str, trouble: ListTrouble) -> None:
        self._observer.list_failed(ListFailed(name.removesuffix(".json"), trouble))
