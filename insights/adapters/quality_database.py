"""What the tables have of served pages, and their newest events, for whoever checks them."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

from insights.adapters.analytics_database import PATIENCE, events_between
from insights.adapters.database import WRITING, reading
from insights.domain.analytics import AnalyticsEvent, EventName
from storage import analytics, quality, served
from storage.database import Database
from storage.tables import feed_cache, user_interactions

_TABLES: Final = {EventName.SERVED: feed_cache, EventName.CONSUMED: user_interactions}
_ROWS: Final = 5_000
_TIMEOUT_S: Final = WRITING.statement_timeout_s


class DatabaseQuality:
    """Reads the tables in small bites; each method raises LedgerUnavailableError.

    Args:
        database: A pool, open as long as this is used.
        now: The wall time.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def stored(self, recommendation_ids: Collection[str]) -> set[str]:
        """Returns which of these pages the tables have."""
        found: set[str] = set()
        for some in _bites(recommendation_ids):
            async with reading(self._database, _TIMEOUT_S) as connection:
                found |= await served.known_pages(connection, some)
        return found

    async def stored_since(self, time: datetime) -> int:
        """Returns how many pages the tables have that were served at a time or later, less than a day ago."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            return await quality.pages_since(connection, time)

    async def entries(self, recommendation_ids: Collection[str]) -> dict[str, int]:
        """Returns how many videos of each of these pages the ledger has."""
        found: dict[str, int] = {}
        for some in _bites(recommendation_ids):
            async with reading(self._database, _TIMEOUT_S) as connection:
                found |= await quality.entries_of(connection, some)
        return found

    async def newest_events(self, name: EventName, rows: int) -> AsyncIterator[Sequence[AnalyticsEvent]]:
        """Yields the events of a table's last rows; of what may still wait for its page none.

        Args:
            name: Which events.
            rows: How many rows at most.
        """
        async with reading(self._database, _TIMEOUT_S) as connection:
            after, newest = await quality.last_rows(connection, _TABLES[name], rows)
            if name is EventName.CONSUMED:
                newest = await analytics.taken_until(connection, after, newest, self._now() - PATIENCE)
        while after < newest:
            until = min(after + _ROWS, newest)
            async with reading(self._database, _TIMEOUT_S) as connection:
                yield await events_between(connection, name, after, until)
            after = until


def _bites(ids: Collection[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while some := list(islice(left, _ROWS)):
        yield some
