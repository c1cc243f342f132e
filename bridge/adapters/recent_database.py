"""The newest interactions from the database."""

from collections.abc import Sequence
from typing import Final

from bridge.adapters.reading import reading
from bridge.domain.recent import FollowedEvent
from storage import recent_interactions
from storage.database import Database

_TIMEOUT_S: Final = 2.0


class DatabaseRecent:
    """The port `RecentReader` on the database.

    Args:
        database: A pool.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_row(self) -> int:
        """Returns the number of the newest row; raises ListError."""
        async with reading(self._database, "recent", _TIMEOUT_S) as connection:
            return await recent_interactions.newest_row(connection)

    async def rows_after(self, row: int, limit: int) -> Sequence[FollowedEvent]:
        """Returns the next rows, at most so many; raises ListError."""
        async with reading(self._database, "recent", _TIMEOUT_S) as connection:
            found = await recent_interactions.rows_after(connection, row, limit)
        return [FollowedEvent._make(each) for each in found]

    async def rows_of(self, numbers: Sequence[int]) -> Sequence[FollowedEvent]:
        """Returns those of these rows that are there; raises ListError."""
        async with reading(self._database, "recent", _TIMEOUT_S) as connection:
            found = await recent_interactions.rows_of(connection, numbers)
        return [FollowedEvent._make(each) for each in found]
