"""The newest interactions, in the order in which they came into the database."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import among, unix_seconds
from storage.tables import user_interactions


class RecentRow(NamedTuple):
    """One interaction.

    Args:
        row: Number of its row; grows.
        user_id: Who.
        video_id: With which video.
        interaction_type: Name of the type, such as "VIEW".
        watch_time_s: Seconds watched.
        time_s: When, Unix seconds.
        rating: The user's rating, 0 to 10, or None.
    """

    row: int
    user_id: str
    video_id: str
    interaction_type: str
    watch_time_s: float
    time_s: float
    rating: float | None


async def newest_row(connection: AsyncConnection) -> int:
    """Returns the number of the newest row; 0 when there is none."""
    return await connection.scalar(sa.select(sa.func.max(user_interactions.c.id))) or 0


async def rows_after(connection: AsyncConnection, row: int, limit: int) -> list[RecentRow]:
    """Returns the rows with a higher number than this, oldest first.

    Args:
        connection: An open transaction.
        row: Number of the last row known.
        limit: Most rows.
    """
    dialect = connection.dialect.name
    return await _rows(connection, _wanted(dialect).where(user_interactions.c.id > row).limit(limit))


async def rows_of(connection: AsyncConnection, numbers: Sequence[int]) -> list[RecentRow]:
    """Returns those of the rows with these numbers that are there, oldest first."""
    dialect = connection.dialect.name
    return await _rows(connection, _wanted(dialect).where(among(user_interactions.c.id, numbers, dialect)))


def _wanted(dialect_name: str) -> sa.Select[Any]:
    columns = user_interactions.c
    return sa.select(
        columns.id,
        columns.user_id,
        columns.video_id,
        columns.interaction_type,
        columns.watch_time_s,
        unix_seconds(columns.event_time, dialect_name),
        columns.rating,
    ).order_by(columns.id)


async def _rows(connection: AsyncConnection, wanted: sa.Select[Any]) -> list[RecentRow]:
    found: Sequence[Any] = (await connection.execute(wanted)).all()
    return [RecentRow._make(each) for each in found]
