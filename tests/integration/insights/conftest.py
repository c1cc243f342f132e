"""A ledger on each database, and the sink's own stores to fill what it follows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from insights.app import build
from insights.settings import InsightsSettings
from runtime.process import Service
from runtime.settings import load
from storage.database import Database
from tests.integration.insights.books import SECRET, Books
from tests.secret_files import write_secret


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


@pytest.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """The whole process."""
    key = tmp_path / "bridge" / "token.key"
    key.parent.mkdir()
    write_secret(key, SECRET)
    settings = load(InsightsSettings, {"FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": database_url})
    async with Service("insights", build(settings)) as service:
        yield service
