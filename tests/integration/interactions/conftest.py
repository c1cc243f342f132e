"""What the tests of the ingest service share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.interactions.ingesting import Ingest, running


@pytest.fixture
async def ingest(tmp_path: Path) -> AsyncIterator[Ingest]:
    async with running(tmp_path) as found:
        yield found
