"""Fills the hourly trending buckets from interactions that came in bulk."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from interactions.bulk.loader import Target, insert_rows
from interactions.domain.event import InteractionType
from interactions.domain.trend import Watched, added_weight, hour_of, view_of
from storage.segments import segments_of
from storage.tables import trending, user_interactions, users, videos

# Weights decay by the hour: what is older than a week moves nothing.
WINDOW: Final = timedelta(days=7)

_ROWS_AT_A_TIME: Final = 5_000
_KEY: Final = ("segment", "bucket", "video_id")
_TRENDING: Final = Target(trending, (*_KEY, "weight"), key=_KEY, overwrite=("weight",))

Key = tuple[str, datetime, str]


def rebuild(connection: sa.Connection) -> int:
    """Computes the buckets of the last `WINDOW` before the newest interaction anew.

    They are computed from all interactions, not added to: running it twice, or beside the sink, counts nothing twice.

    Args:
        connection: An open transaction that may write.

    Returns:
        The number of buckets written.
    """
    if connection.dialect.name == "postgresql":
        # The sink adds to these rows: it either has finished and is seen below, or waits until this commits.
        connection.exec_driver_sql("LOCK TABLE trending IN SHARE ROW EXCLUSIVE MODE")
    newest = connection.scalar(sa.select(sa.func.max(user_interactions.c.event_time)))
    if newest is None:
        return 0
    buckets = _sum(_weights_since(connection, hour_of(newest - WINDOW)))
    return insert_rows(connection, _TRENDING, [(*key, total) for key, total in buckets])


def _weights_since(connection: sa.Connection, start: datetime) -> Iterator[tuple[Key, float]]:
    events = user_interactions.c
    joined = user_interactions.outerjoin(videos, videos.c.video_id == events.video_id)
    query = (
        sa.select(events.event_time, events.video_id, events.interaction_type, events.watch_time_s)
        .add_columns(videos.c.duration_s, users.c.country, users.c.locale, events.user_id, events.feed_session_id)
        .select_from(joined.outerjoin(users, users.c.user_id == events.user_id))
        .where(events.event_time >= start)
        .order_by(events.event_time)
    )
    watched = Watched()
    for rows in connection.execute(query).partitions(_ROWS_AT_A_TIME):
        for event_time, video_id, name, watch_time_s, duration_s, country, locale, user_id, session_id in rows:
            kind = InteractionType(name)
            view = view_of(kind, user_id, video_id, session_id)
            added = added_weight(kind, view, watch_time_s, duration_s, watched)
            if added > 0:
                for segment in segments_of(country, locale):
                    yield (segment, hour_of(event_time), video_id), added


def _sum(weights: Iterable[tuple[Key, float]]) -> list[tuple[Key, float]]:
    sums: dict[Key, float] = {}
    for key, added in weights:
        sums[key] = sums.get(key, 0.0) + added
    return sorted(sums.items())
