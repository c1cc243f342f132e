"""Of users who do not want to be known, and of those who were erased, nothing is stored."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from interactions.domain.event import InteractionType
from interactions.sink.adapters.served_database import DatabaseServedStore
from interactions.sink.adapters.store_database import DatabaseStore
from interactions.sink.ports import Written
from interactions.system import System
from storage import consent
from storage.database import Database
from storage.tables import feed_cache, recommendation_decisions, trending, user_interactions
from tests.integration.insights.books import BEGIN, event, page

LIKE = InteractionType.LIKE
ERASED_AT = BEGIN + timedelta(hours=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Of u1 nothing is stored; u2 was erased and is back; of u3 nothing is known; u4 was erased."""
    opened = Database(database_url)
    async with opened.begin() as connection:
        await consent.set_consent(connection, "u1", personalised=False)
        for user_id in ("u2", "u4"):
            await consent.mark_erased(connection, user_id, ERASED_AT)
        await consent.set_consent(connection, "u2", personalised=True)
    yield opened
    await opened.close()


async def stored(database: Database, table: sa.Table) -> Sequence[str]:
    async with database.read() as connection:
        return (await connection.scalars(sa.select(table.c.user_id).order_by(table.c.user_id))).all()


async def test_interactions_are_dropped_and_counted(database: Database) -> None:
    later = ERASED_AT + timedelta(seconds=1)
    store = DatabaseStore(database, "g")
    events = [event(LIKE, time, user_id=f"u{user}") for time in (BEGIN, ERASED_AT, later) for user in (1, 2, 3, 4)]
    assert await store.write(events, {}) == Written(4, 8)
    assert await stored(database, user_interactions) == ["u2", "u3", "u3", "u3"]
    async with database.read() as connection:
        everywhere = sa.select(sa.func.sum(trending.c.weight)).where(trending.c.segment == "global")
        weight = await connection.scalar(everywhere)
    assert weight == pytest.approx(4 * 0.7)


async def test_served_pages_are_dropped_and_counted(database: Database) -> None:
    store = DatabaseServedStore(database, "g", System(now=lambda: datetime.now(UTC), monotonic=lambda: 0.0))
    pages = [page(f"r{user}", userId=f"u{user}") for user in (1, 2, 3, 4)]
    assert await store.write(pages, {}) == Written(1, 3)
    assert await stored(database, feed_cache) == ["u3"]
    assert await stored(database, recommendation_decisions) == ["u3", "u3"]


async def test_who_withholds_meanwhile_waits_for_what_is_being_written(database: Database) -> None:
    """Otherwise an erasure could look for rows before they are there."""
    order: list[str] = []

    async def withhold() -> None:
        async with database.begin() as connection:
            await consent.mark_erased(connection, "u3", ERASED_AT)
        order.append("withheld")

    async with database.begin() as connection:
        assert await consent.withheld(connection, ["u3"]) == {}
        withholding = asyncio.create_task(withhold())
        await asyncio.wait([withholding], timeout=0.2)
        order.append("written")
    await withholding
    assert order == ["written", "withheld"]
