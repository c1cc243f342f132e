"""What the feed needs to know of videos that no scorer vouches for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import user_interactions, videos

# Rows of one query are turned into values between two requests: some milliseconds for this many.
_IDS_A_QUERY: Final = 100

_COLUMNS: Final = (
    videos.c.video_id,
    videos.c.author_id,
    videos.c.tags,
    videos.c.language,
    videos.c.duration_s,
    videos.c.published_at,
    videos.c.country,
)


@dataclass(frozen=True, slots=True)
class CatalogueVideo:
    """An active video.

    Args:
        video_id: Its id.
        author_id: Whose it is; empty when unknown.
        tags: Its tags.
        language: Its language (BCP 47); empty when unknown.
        duration_s: Its length in seconds; None when unknown.
        published_at: When it was published; None when unknown.
        country: Where it is from (ISO 3166-1 alpha-2); empty when unknown.
    """

    video_id: str
    author_id: str
    tags: tuple[str, ...]
    language: str
    duration_s: float | None
    published_at: datetime | None
    country: str


async def newest_active(connection: AsyncConnection, limit: int) -> list[CatalogueVideo]:
    """Returns the active videos published last, newest first; those without a date come at the end."""
    newest = (
        sa.select(*_COLUMNS)
        .where(videos.c.is_active)
        .order_by(videos.c.published_at.desc().nulls_last(), videos.c.video_id)
        .limit(limit)
    )
    return _read(await connection.execute(newest))


async def newest_unmet(connection: AsyncConnection, *, newest: int, few: int, limit: int) -> list[str]:
    """Returns the ids of active videos that hardly anybody has met, last published first.

    Of a video's interactions no more than `few` entries of an index are read, and of no more videos than `newest`: it
    takes the database as long however many of both there are.

    Args:
        connection: An open transaction.
        newest: So many videos are looked at, the last published.
        few: A video with fewer interactions counts.
        limit: Most videos returned.
    """
    last = (
        sa.select(videos.c.video_id, videos.c.published_at)
        .where(videos.c.is_active, videos.c.published_at.is_not(None))
        .order_by(videos.c.published_at.desc(), videos.c.video_id)
        .limit(newest)
        .subquery()
    )
    met = sa.select(sa.literal(1)).where(user_interactions.c.video_id == last.c.video_id).limit(1).offset(few - 1)
    unmet = (
        sa.select(last.c.video_id)
        .where(~met.exists())
        .order_by(last.c.published_at.desc(), last.c.video_id)
        .limit(limit)
    )
    return list(await connection.scalars(unmet))


async def active_videos(connection: AsyncConnection, video_ids: Sequence[str]) -> list[CatalogueVideo]:
    """Returns those of these videos that are in the catalogue and active, in no order."""
    found: list[CatalogueVideo] = []
    for start in range(0, len(video_ids), _IDS_A_QUERY):
        wanted = videos.c.video_id.in_(video_ids[start : start + _IDS_A_QUERY])
        found += _read(await connection.execute(sa.select(*_COLUMNS).where(videos.c.is_active, wanted)))
    return found


def _read(
    rows: Iterable[sa.Row[tuple[str, str, list[str] | None, str, float | None, datetime | None, str]]],
) -> list[CatalogueVideo]:
    return [
        CatalogueVideo(
            row.video_id,
            row.author_id,
            tuple(row.tags or ()),
            row.language,
            row.duration_s,
            row.published_at,
            row.country,
        )
        for row in rows
    ]
