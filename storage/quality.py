"""What the tables have of pages that somebody else knows, and their newest rows."""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import among
from storage.tables import feed_cache, prediction_outcomes


async def entries_of(connection: AsyncConnection, recommendation_ids: Collection[str]) -> dict[str, int]:
    """Returns how many videos the ledger has of each of these pages; pages that it does not know are not there."""
    page = prediction_outcomes.c.recommendation_id
    wanted = (
        sa.select(page, sa.func.count()).where(among(page, recommendation_ids, connection.dialect.name)).group_by(page)
    )
    return {row[0]: row[1] for row in await connection.execute(wanted)}


async def pages_since(connection: AsyncConnection, time: datetime) -> int:
    """Returns how many pages the cache has that were served at a time or later."""
    wanted = sa.select(sa.func.count()).select_from(feed_cache).where(feed_cache.c.created_at >= time)
    return await connection.scalar(wanted) or 0


async def last_rows(connection: AsyncConnection, table: sa.Table, limit: int) -> tuple[int, int]:
    """Returns after which row the last ones come, so many at most, and which is the last; 0 and 0 without any.

    Args:
        connection: An open transaction.
        table: A table with an `id` that grows.
        limit: How many.
    """
    newest = await connection.scalar(sa.select(sa.func.max(table.c.id))) or 0
    return max(0, newest - limit), newest
