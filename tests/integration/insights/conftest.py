"""A ledger on each database, and the sink's own stores to fill what it follows."""

from collections.abc import AsyncIterator

import pytest

from storage.database import Database
from tests.integration.insights.books import Books


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, pool_size=4)
    yield opened
    await opened.close()


@pytest.fixture
async def books(database: Database) -> Books:
    """A ledger that has begun."""
    made = Books(database)
    await made.keep()
    return made
