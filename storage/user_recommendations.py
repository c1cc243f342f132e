"""Users' own lists, made beforehand."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.consent import unpersonalised, withheld_sync
from storage.dialect import among, unix_seconds
from storage.feed_catalogue import CatalogueVideo
from storage.tables import user_interactions, user_recommendations, videos

# Video, score, algorithm, model version, and in Unix seconds when it was made and until when it holds.
RecommendationRow: TypeAlias = tuple[str, float, str, str, float, float]

_LIST_COLUMNS: Final = 6


class ListedVideo(NamedTuple):
    """A video of a list, and its score."""

    video_id: str
    score: float


class UserListRows(NamedTuple):
    """A user's list, best first."""

    user_id: str
    videos: Sequence[ListedVideo]


class Made(NamedTuple):
    """What made lists, when, and until when they hold; times in UTC."""

    algorithm: str
    model_version: str
    generated_at: datetime
    expires_at: datetime


def active_users(connection: sa.Connection, within: timedelta) -> list[str]:
    """Returns who did something within this time before the newest interaction, sorted."""
    events = user_interactions.c
    newest = connection.scalar(sa.select(sa.func.max(events.event_time)))
    if newest is None:
        return []
    wanted = sa.select(events.user_id).distinct().where(events.event_time > newest - within)
    return list(connection.scalars(wanted.where(events.user_id.not_in(unpersonalised())).order_by(events.user_id)))


def replace_lists(connection: sa.Connection, lists: Sequence[UserListRows], made: Made) -> None:
    """Writes lists of users in the place of those that they had; none for who does not want to be known by now.

    Args:
        connection: An open transaction that may write.
        lists: The lists.
        made: What made them.
    """
    users = [each.user_id for each in lists]
    table, dialect = user_recommendations, connection.dialect.name
    withheld = {user_id for user_id, each in withheld_sync(connection, users).items() if not each.personalised}
    connection.execute(sa.delete(table).where(among(table.c.user_id, users, dialect)))
    rows = [
        {"user_id": each.user_id, "rank": rank, **video._asdict(), **made._asdict()}
        for each in lists
        if each.user_id not in withheld
        for rank, video in enumerate(each.videos, 1)
    ]
    if rows:
        connection.execute(sa.insert(table), rows)


def delete_expired(connection: sa.Connection, now: datetime) -> int:
    """Deletes what holds no longer; returns the number of rows."""
    return connection.execute(sa.delete(user_recommendations).where(user_recommendations.c.expires_at <= now)).rowcount


async def load_user_recommendations(
    connection: AsyncConnection, user_id: str, limit: int, *, with_videos: bool
) -> tuple[list[RecommendationRow], list[CatalogueVideo]]:
    """Returns a user's list, best first, of the videos that are active; whether it is still fresh is not judged.

    One query: asking for the videos by their ids afterwards takes three times as long (13 ms for 200, measured).

    Args:
        connection: An open transaction.
        user_id: The user.
        limit: Most rows.
        with_videos: Whether to return what the catalogue says of the videos, too.
    """
    columns = user_recommendations.c
    best = (
        sa.select(*_columns(connection.dialect.name, with_videos=with_videos))
        .join(videos, videos.c.video_id == columns.video_id)
        .where(columns.user_id == user_id, videos.c.is_active)
        .order_by(columns.rank, columns.video_id)
        .limit(limit)
    )
    rows: Sequence[Any] = (await connection.execute(best)).all()
    return [tuple(row[:_LIST_COLUMNS]) for row in rows], [_video(row) for row in rows] if with_videos else []


def _columns(dialect_name: str, *, with_videos: bool) -> list[sa.ColumnElement[Any]]:
    listed = user_recommendations.c
    catalogue = videos.c
    return [
        listed.video_id,
        listed.score,
        listed.algorithm,
        listed.model_version,
        unix_seconds(listed.generated_at, dialect_name),
        unix_seconds(listed.expires_at, dialect_name),
        *(
            (
                catalogue.author_id,
                catalogue.tags,
                catalogue.language,
                catalogue.duration_s,
                catalogue.published_at,
                catalogue.country,
            )
            if with_videos
            else ()
        ),
    ]


def _video(row: Any) -> CatalogueVideo:
    return CatalogueVideo(
        row.video_id, row.author_id, tuple(row.tags or ()), row.language, row.duration_s, row.published_at, row.country
    )
