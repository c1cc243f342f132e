"""How the last days went, and how new the newest rows are."""

from collections.abc import Mapping
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import feed_cache, outcome_days, user_interactions

_DAYS = outcome_days.c


async def served_by_source(connection: AsyncConnection, since: date) -> Mapping[tuple[date, str], int]:
    """Returns how many videos were served since a day (UTC), by day and source."""
    wanted = (
        sa.select(_DAYS.day, _DAYS.source, sa.func.sum(_DAYS.served))
        .where(_DAYS.day >= since)
        .group_by(_DAYS.day, _DAYS.source)
    )
    return {(day, source): int(served) for day, source, served in await connection.execute(wanted)}


async def newest_interaction(connection: AsyncConnection) -> datetime | None:
    """Returns when the newest interaction came in; None when there is none."""
    # By the number of the row, which has an index.
    newest = sa.select(user_interactions.c.ingest_time).order_by(user_interactions.c.id.desc()).limit(1)
    found: datetime | None = await connection.scalar(newest)
    return found


async def newest_page(connection: AsyncConnection) -> datetime | None:
    """Returns when the newest page was served; None when there is none."""
    found: datetime | None = await connection.scalar(
        sa.select(feed_cache.c.created_at).order_by(feed_cache.c.id.desc()).limit(1)
    )
    return found
