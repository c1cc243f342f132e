"""Long views of late, summed up by video."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from storage.dialect import decayed_by, unix_seconds
from storage.tables import user_interactions, videos


class Newest(NamedTuple):
    """How far the interactions go: the number of the newest row, and the newest time, UTC."""

    row: int
    event_time: datetime


class ViewRules(NamedTuple):
    """Which views count, and how much.

    Args:
        long_view_s: A view this long, or of the whole video, is a long view; seconds.
        half_life_s: Age at which one counts half, seconds.
    """

    long_view_s: float
    half_life_s: float


def newest(connection: sa.Connection) -> Newest | None:
    """Returns how far the interactions go; None when there are none."""
    columns = user_interactions.c
    row = connection.scalar(sa.select(sa.func.max(columns.id)))
    time = connection.scalar(sa.select(sa.func.max(columns.event_time)))
    return None if row is None or time is None else Newest(row, time)


def long_views(
    connection: sa.Connection, rules: ViewRules, after_row: int, until: Newest, since: datetime
) -> list[tuple[str, float]]:
    """Returns what the long views of each video sum up to; a view that was told several times counts once.

    Args:
        connection: An open transaction.
        rules: Which views count, and how much.
        after_row: Number of the last row that is not counted any more.
        until: The last row that counts, and the time that ages are measured from.
        since: Views from before are left out, UTC.
    """
    told, before = user_interactions.alias(), user_interactions.alias()
    enough = _enough(rules.long_view_s)
    age_s = sa.literal(until.event_time.timestamp(), sa.Float) - unix_seconds(
        told.c.event_time, connection.dialect.name
    )
    counted_before = (
        sa.exists()
        .where(before.c.user_id == told.c.user_id, before.c.video_id == told.c.video_id)
        .where(before.c.feed_session_id == told.c.feed_session_id, before.c.interaction_type == "VIEW")
        .where(before.c.id < told.c.id, before.c.watch_time_s >= enough)
    )
    statement = (
        sa.select(told.c.video_id, sa.func.sum(decayed_by(age_s, rules.half_life_s)))
        .select_from(told.outerjoin(videos, videos.c.video_id == told.c.video_id))
        .where(told.c.id > after_row, told.c.id <= until.row, told.c.event_time >= since)
        .where(told.c.interaction_type == "VIEW", told.c.watch_time_s >= enough, ~counted_before)
        .group_by(told.c.video_id)
    )
    return [(video_id, float(views)) for video_id, views in connection.execute(statement)]


def _enough(long_view_s: float) -> sa.ColumnElement[float]:
    short = sa.and_(videos.c.duration_s > 0, videos.c.duration_s < long_view_s)
    return sa.case((short, videos.c.duration_s), else_=long_view_s)
