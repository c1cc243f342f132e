"""Whatever is asked of the insights, pages are served and written, and the books are kept (issue 8, item 8)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from fakes.scorer.server import FakeScorer
from insights.adapters.database import READING, reading
from insights.ports import LedgerUnavailableError
from interactions.domain.event import InteractionType
from storage.database import Database
from tests.integration.bridge.conftest import StartBridge, fill
from tests.integration.insights.books import Books, event, page

TABLES = ("feed_cache", "user_interactions", "recommendation_decisions", "prediction_outcomes", "outcome_days")
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
READERS = 2


@pytest.fixture
async def books(database_url: str) -> AsyncIterator[Books]:
    """A ledger that has begun, in a database with a catalogue."""
    fill(database_url)
    database = Database(database_url)
    made = Books(database)
    await made.keep()
    yield made
    await database.close()


class HeavyReader:
    """Asks what has no end, again and again, holding the locks that a read holds; `ended`: how many were ended."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ended = 0

    async def run(self) -> None:
        while True:
            try:
                async with reading(self._database, READING.statement_timeout_s) as connection:
                    for name in TABLES:
                        await connection.execute(sa.text(f"SELECT count(*) FROM {name}"))
                    await connection.execute(sa.text(ENDLESS))
            except LedgerUnavailableError:
                self.ended += 1


async def test_pages_and_writes_go_on_beside_the_heaviest_reads(
    books: Books, database_url: str, start_bridge: StartBridge, scorer: FakeScorer
) -> None:
    pool = Database(database_url, pool_size=READERS, limits=READING)
    readers = [HeavyReader(pool) for _ in range(READERS)]
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    rounds = 0
    async with start_bridge(scorer.target, environ={"FEED_DATABASE_URL": database_url}) as bridge:
        while min(reader.ended for reader in readers) < 2:
            rounds += 1
            served = await bridge.page()
            assert len(served.recommendations) == 20
            await books.serve(page(f"r{rounds}"))
            await books.act(event(InteractionType.LIKE, recommendation_id=f"r{rounds}"))
            await books.keep()
            state = await books.state()
            assert (state.served, state.by_outcome["liked"], state.balance) == (2 * rounds, rounds, 0)
        # What bridges follow is read as before: it is new by now.
        assert bridge.metric("feed_bridge_list_failures_total", list="trending", trouble="not_refreshed") == 0
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await pool.close()
