"""Users' histories from the database."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from bridge.adapters.reading import bounded, reading
from bridge.domain.history import RULES, FollowedPage, OlderHistory, Rule
from storage import feed_history
from storage.database import Database
from storage.feed_history import Window

# Nobody waits this long; it ends reads of a database that hangs.
_LONGEST_READ_S: Final = 2.0


class DatabaseHistory:
    """The port `HistoryReader` on the database.

    Args:
        database: A pool with a connection for each read at a time.
        windows_s: For how long what counts, in seconds, by rule.
    """

    def __init__(self, database: Database, windows_s: Mapping[Rule, float]) -> None:
        self._database = database
        self._windows_s = windows_s

    async def newer(self, user_id: str, now: float, since: float) -> str:
        """Reads what a user met since a time, and what the user was served; raises ListError."""
        served_s = self._windows_s.get(Rule.SERVED)
        served_since = None if served_s is None else _time(now - served_s)
        windows = self._windows(now)
        async with bounded("history", _LONGEST_READ_S):
            met, pages = await feed_history.newer(self._database, user_id, windows, _time(since), served_since)
        served = chain.from_iterable(map(json.loads, pages))
        return "\n".join((met, *served) if met else served)

    async def older(self, user_id: str, now: float, until: float, trained_until: float) -> OlderHistory:
        """Reads what a user met until a time, parted by when the model was trained; raises ListError."""
        windows = self._windows(now)
        async with bounded("older history", _LONGEST_READ_S):
            return OlderHistory(
                *await feed_history.older(self._database, user_id, windows, _time(until), _time(trained_until))
            )

    def _windows(self, now: float) -> Sequence[Window]:
        return [
            Window([name for name, each in RULES.items() if each is rule], _time(now - window_s))
            for rule, window_s in self._windows_s.items()
            if rule is not Rule.SERVED
        ]


class DatabasePages:
    """The port `PageReader` on the database.

    Args:
        database: A pool.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_row(self) -> int:
        """Returns the number of the newest page; raises ListError."""
        async with reading(self._database, "served pages", _LONGEST_READ_S) as connection:
            return await feed_history.newest_page(connection)

    async def rows_after(self, row: int, limit: int) -> Sequence[FollowedPage]:
        """Returns the next pages, at most so many; raises ListError."""
        async with reading(self._database, "served pages", _LONGEST_READ_S) as connection:
            found = await feed_history.pages_after(connection, row, limit)
        return [FollowedPage(*each) for each in found]

    async def rows_of(self, numbers: Sequence[int]) -> Sequence[FollowedPage]:
        """Returns those of these pages that are there; raises ListError."""
        async with reading(self._database, "served pages", _LONGEST_READ_S) as connection:
            found = await feed_history.pages_of(connection, numbers)
        return [FollowedPage(*each) for each in found]


# Databases know no time long before.
def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(max(_EARLIEST_S, seconds), UTC)


_EARLIEST_S: Final = 172_800.0
