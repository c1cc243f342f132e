"""Fallback lists from the database."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from bridge.adapters.lists_file import load_video_ids
from bridge.adapters.reading import reading
from bridge.domain.exploration import NewcomerList
from bridge.domain.filters import VideoFacts
from bridge.domain.lists import EditorialList, TrendingLists, active_only
from bridge.domain.trending import Gathered, ListPolicy, Trend, trends
from bridge.ports import ListError
from storage.database import Database
from storage.feed_catalogue import CatalogueVideo, active_videos, newest_active, newest_unmet
from storage.trending import Decay, DecayedSum, load_sums


class DatabaseLists:
    """The port `ListReader` on the database, and on the operator's editorial file if there is one.

    Args:
        database: The pool.
        policy: How the lists are made.
        editorial_path: A JSON array of video ids; None: the newest active videos.
    """

    def __init__(self, database: Database, policy: ListPolicy, editorial_path: Path | None) -> None:
        self._database = database
        self._policy = policy
        self._editorial_path = editorial_path

    async def trending(self, now: float) -> TrendingLists:
        """Reads what is watched most; of videos that are not active, nothing.

        Raises:
            ListError: When the database does not answer.
        """
        policy = self._policy
        async with reading(self._database, "trending", policy.timeout_s) as connection:
            sums = await load_sums(connection, _decay(policy), hours=policy.buckets, videos=2 * policy.videos)
            found = await asyncio.to_thread(_ranked, sums, policy)
            wanted = sorted({video_id for trend in found.values() for video_id in trend.video_ids})
            facts = facts_of(await active_videos(connection, wanted))
        return TrendingLists(now, active_only(found, facts), facts)

    async def editorial(self) -> EditorialList:
        """Reads the operator's list, or else the newest videos; only active ones.

        Raises:
            ListError: When neither can be read.
        """
        chosen = await self._chosen()
        try:
            async with reading(self._database, "editorial", self._policy.timeout_s) as connection:
                facts = facts_of(await active_videos(connection, chosen))
                video_ids = tuple(video_id for video_id in chosen if video_id in facts)
                if not video_ids:
                    facts = facts_of(await newest_active(connection, self._policy.videos))
                    video_ids = tuple(facts)
        except ListError:
            if chosen:  # better the operator's list unchecked than none
                return EditorialList(chosen, {})
            raise
        return EditorialList(video_ids, facts)

    async def newcomers(self) -> NewcomerList:
        """Reads the active videos that were published last and that few have met.

        Raises:
            ListError: When the database does not answer.
        """
        policy = self._policy
        async with reading(self._database, "newcomers", policy.timeout_s) as connection:
            found = await newest_unmet(connection, newest=policy.newest, few=policy.few, limit=policy.newcomers)
            facts = facts_of(await active_videos(connection, found))
        return NewcomerList(tuple(video_id for video_id in found if video_id in facts), facts)

    async def _chosen(self) -> tuple[str, ...]:
        if self._editorial_path is None:
            return ()
        return await asyncio.to_thread(load_video_ids, self._editorial_path)


def facts_of(found: Iterable[CatalogueVideo]) -> dict[str, VideoFacts]:
    """Returns what the catalogue says of these videos."""
    return {
        video.video_id: VideoFacts(
            video.author_id,
            frozenset(video.tags),
            video.language,
            video.duration_s,
            video.published_at.timestamp() if video.published_at else None,
            video.country,
        )
        for video in found
    }


def _decay(policy: ListPolicy) -> Decay:
    return Decay(policy.half_life_s, policy.short_half_life_s, policy.rising)


def _ranked(sums: Iterable[DecayedSum], policy: ListPolicy) -> Mapping[str, Trend]:
    return trends((Gathered(*each) for each in sums), limit=policy.videos, rising=policy.rising)
