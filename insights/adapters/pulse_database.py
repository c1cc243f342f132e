"""How the last days went, from the database."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from insights.adapters.database import reading
from insights.ports import Freshness
from storage import pulse
from storage.database import Database

_TIMEOUT_S: Final = 2.0


class DatabasePulse:
    """The port `Pulse` on the database.

    Args:
        database: A pool, open as long as this is used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def freshness(self) -> Freshness:
        """Returns how new the newest is."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            return Freshness(await pulse.newest_interaction(connection), await pulse.newest_page(connection))

    async def served_by_source(self, since: date) -> Mapping[tuple[date, str], int]:
        """Returns how many videos were served."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            return await pulse.served_by_source(connection, since)
