"""How far a table can be followed by its row numbers without missing a row.

PostgreSQL gives numbers before it commits, so a lower one may appear after a higher one. A row's writer holds a lock on
the table from before it has the number until it ends: once nobody is left who held one when a number was seen, no lower
one can appear any more. SQLite has one writer at a time.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# The mode of INSERT and COPY; who analyses, vacuums or reads holds others.
_WRITERS: Final = sa.text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'"
    " AND relation = CAST(:table AS regclass)"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Settled:
    """Finds out up to which row a table is complete; keeps what it saw between two looks.

    Args:
        table: A table with an `id` that grows.
    """

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._row = 0
        # A row seen later, and who may still bring in a lower one.
        self._seen = 0
        self._writers: frozenset[str] = frozenset()

    async def newest_row(self, connection: AsyncConnection) -> int:
        """Returns the number up to which every row is there that will ever be; 0 when there is none.

        Args:
            connection: An open transaction, reading what is committed at each statement.
        """
        if connection.dialect.name != "postgresql":
            return await self._newest(connection)
        if self._writers:
            self._writers &= await self._writing(connection)
        if not self._writers:
            self._row = self._seen
            # In this order: whoever has a number below the one that is seen has his lock by then.
            self._seen = await self._newest(connection)
            self._writers = await self._writing(connection)
            if not self._writers:
                self._row = self._seen
        return self._row

    async def _newest(self, connection: AsyncConnection) -> int:
        return await connection.scalar(sa.select(sa.func.max(self._table.c.id))) or 0

    async def _writing(self, connection: AsyncConnection) -> frozenset[str]:
        found: Any = await connection.scalars(_WRITERS, {"table": self._table.name})
        return frozenset(found)
