"""The served pages: one row a page for a day, one row a video for good."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.bulk import insert_many
from storage.dialect import among
from storage.ledger import READER
from storage.tables import feed_cache, log_offsets, recommendation_decisions

# How long the insights may be away without missing a page.
_KEPT_FOR_LEDGER: Final = timedelta(days=7)


class PageRow(NamedTuple):
    """A row of `feed_cache`; columns as there, None where nothing is known.

    Args:
        video_ids: JSON text.
        scores: JSON text.
        elapsed_ms: From the arrival of the request to the finished page, in milliseconds.
    """

    recommendation_id: str
    feed_session_id: str
    first_position: int
    user_id: str
    algorithm: str
    model_version: str | None
    source: str
    fallback_reason: str
    video_ids: str
    scores: str
    elapsed_ms: float | None
    created_at: datetime
    expires_at: datetime


class DecisionRow(NamedTuple):
    """A row of `recommendation_decisions`; columns as there, None where nothing is known.

    Args:
        score_components: JSON text.
        filters_applied: JSON text.
        rejections: JSON text.
        experiments: JSON text.
    """

    recommendation_id: str
    position: int
    user_id: str
    video_id: str
    final_score: float | None
    score_components: str | None
    filters_applied: str | None
    rejections: str | None
    source_type: str
    fallback_reason: str
    feed_session_id: str
    algorithm: str
    model_version: str | None
    experiments: str | None
    propensity: float | None
    created_at: datetime


async def known_pages(connection: AsyncConnection, recommendation_ids: Collection[str]) -> set[str]:
    """Returns which of these pages are there; one without a video for as long as the cache has it.

    Args:
        connection: An open transaction.
        recommendation_ids: Any number.
    """
    dialect = connection.dialect.name
    tables = (feed_cache.c.recommendation_id, recommendation_decisions.c.recommendation_id)
    wanted = [sa.select(column).where(among(column, recommendation_ids, dialect)) for column in tables]
    return set(await connection.scalars(sa.union(*wanted)))


async def insert(connection: AsyncConnection, pages: Sequence[PageRow], decisions: Sequence[DecisionRow]) -> None:
    """Inserts pages that are not there, and their decisions.

    Raises:
        DBAPIError: With `interactions.is_taken`, when another writer brought in one of them meanwhile.
    """
    # Sorted, so that two writers of the same pages wait for each other in one direction only.
    if pages:
        await insert_many(connection, feed_cache.name, PageRow._fields, sorted(pages, key=itemgetter(0)))
    if decisions:
        ordered = sorted(decisions, key=itemgetter(0, 1))
        await insert_many(connection, recommendation_decisions.name, DecisionRow._fields, ordered)


async def prune_pages(connection: AsyncConnection, now: datetime, limit: int) -> int:
    """Deletes pages of the cache that have expired, the oldest first.

    What the ledger of outcomes has not taken in yet stays for a week more. The newest page stays in any case: SQLite
    would give its number again, and who follows the table would pass by the next page.

    Args:
        connection: An open transaction.
        now: The present.
        limit: Most rows, so that nobody waits long for the transaction.

    Returns:
        How many were deleted.
    """
    page = feed_cache.c
    newest = sa.select(sa.func.max(page.id)).scalar_subquery()
    expired = (
        sa.select(page.id)
        .where(page.expires_at <= now, page.id < newest)
        .where(_is_on_ledger() | (page.expires_at <= now - _KEPT_FOR_LEDGER))
        .order_by(page.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)  # another sink deletes them already; SQLite has one writer anyway
    )
    return (await connection.execute(sa.delete(feed_cache).where(feed_cache.c.id.in_(expired)))).rowcount


def _is_on_ledger() -> sa.ColumnElement[bool]:
    """Says of a page whether the ledger has taken it in; of each, where no ledger has begun."""
    row = log_offsets.c
    taken = sa.select(row.next_offset).where(row.consumer_group == READER, row.topic == feed_cache.name)
    return feed_cache.c.id <= sa.func.coalesce(taken.scalar_subquery(), feed_cache.c.id)
