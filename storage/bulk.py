"""Many rows at once: COPY on PostgreSQL, one `executemany` on SQLite."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

# What SQLAlchemy writes for a time: without the zone, which is UTC.
_SQLITE_TIME_CHARS: Final = len("2022-04-25 12:00:00.000000")
# The last three are a value that the driver cannot write as its column's type.
_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    sqlite3.Error,
    TypeError,
    ValueError,
    OverflowError,
)


async def insert_many(
    connection: AsyncConnection, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Inserts rows, all of them or none.

    Args:
        connection: An open transaction.
        table: Name of the table.
        columns: Names of the columns, in the order of each row's values.
        rows: Times are aware and in UTC, JSON is text.

    Raises:
        DBAPIError: As for any other statement.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        if connection.dialect.name == "postgresql":
            if not driver.is_in_transaction():  # SQLAlchemy begins it with the first statement that it knows of
                await connection.execute(sa.select(1))
            await driver.copy_records_to_table(table, columns=columns, records=rows)
        else:
            names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" for _ in columns)
            statement = f'INSERT INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608  # names of our own tables
            await (await driver.executemany(statement, _sqlite_rows(rows))).close()
    except _ERRORS as error:
        raise DBAPIError(f"COPY {table}", None, error) from error


def _sqlite_rows(rows: Iterable[Sequence[object]]) -> Iterator[list[object]]:
    for row in rows:
        yield [
            value.isoformat(" ", "microseconds")[:_SQLITE_TIME_CHARS] if isinstance(value, datetime) else value
            for value in row
        ]
