"""Fast inserts of many rows that leave alone what is there already."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from interactions.bulk.rows import INTERACTION_COLUMNS, USER_COLUMNS, VIDEO_COLUMNS, Row
from storage.consent import withheld_sync
from storage.dialect import upsert
from storage.tables import UtcDateTime, import_progress, user_interactions, users, videos

# Random event ids touch every page of their index: SQLite's own 2 MB of cache would hold few of them.
_SQLITE_CACHE_KIB = 128 * 1024
# Pages of the write-ahead log before they are copied into the database. SQLite's own 1,000 are less than one chunk
# writes, so the same index pages would be copied after every chunk.
_SQLITE_CHECKPOINT_PAGES = 100_000
_SQLITE_TIME_CHARS = len("2022-04-25 12:00:00.000000")  # without the zone, which is UTC
_USER, _EVENT_TIME = INTERACTION_COLUMNS.index("user_id"), INTERACTION_COLUMNS.index("event_time")


@dataclass(frozen=True)
class Target:
    """Where rows go and what happens to those that are there.

    Attributes:
        table: The table.
        columns: The columns, in the order of each row's values.
        key: The columns that identify a row.
        overwrite: Columns to write in a row that is there already; none leaves it alone.
    """

    table: sa.Table
    columns: Sequence[str]
    key: Sequence[str]
    overwrite: Sequence[str] = ()

    @property
    def conflict_clause(self) -> str:
        """What an INSERT does about rows that are there."""
        updates = ", ".join(f"{name} = excluded.{name}" for name in self.overwrite)
        return f"ON CONFLICT ({', '.join(self.key)}) DO " + (f"UPDATE SET {updates}" if updates else "NOTHING")


VIDEOS = Target(videos, VIDEO_COLUMNS, ("video_id",))
USERS = Target(users, USER_COLUMNS, ("user_id",))
INTERACTIONS = Target(user_interactions, INTERACTION_COLUMNS, ("event_id",))


def insert_rows(connection: sa.Connection, target: Target, rows: Sequence[Row]) -> int:
    """Inserts rows whose key is not in the table.

    PostgreSQL gets them by COPY into a staging table, SQLite by one `executemany`.

    Args:
        connection: An open transaction.
        target: Where to, and what to do about rows that are there.
        rows: The rows; the same key twice among them is one row (not allowed with `overwrite`).

    Returns:
        The number of rows written.
    """
    if not rows:
        return 0
    driver = connection.connection.driver_connection
    if driver is None:
        raise RuntimeError("the connection is closed")
    insert_all = _copy if connection.dialect.name == "postgresql" else _execute_many
    return insert_all(driver, target, rows)


def without_withheld(connection: sa.Connection, rows: Sequence[Row]) -> Sequence[Row]:
    """Returns the interactions that may be stored: not of who does not want to be known, or from before an erasure.

    Args:
        connection: The transaction that stores them.
        rows: Values of `INTERACTION_COLUMNS`.
    """
    withheld = withheld_sync(connection, {str(row[_USER]) for row in rows})

    def may_be_stored(row: Row) -> bool:
        who = withheld.get(str(row[_USER]))
        return who is None or not who.keeps_out(cast("datetime", row[_EVENT_TIME]))

    return [row for row in rows if may_be_stored(row)] if withheld else rows


def has_interactions(connection: sa.Connection) -> bool:
    """Tells whether the database holds any interaction."""
    return connection.execute(sa.select(user_interactions.c.id).limit(1)).first() is not None


def next_line(connection: sa.Connection, source: str, file: str) -> int:
    """Returns the first line of a file that is not loaded yet; line 1 is the header."""
    progress = import_progress.c
    found = connection.scalar(sa.select(progress.next_line).where(progress.source == source, progress.file == file))
    return found or 2


def is_finished(connection: sa.Connection, source: str, file: str) -> bool:
    """Tells whether a file was loaded to its end."""
    progress = import_progress.c
    found = connection.scalar(sa.select(progress.finished).where(progress.source == source, progress.file == file))
    return bool(found)


def save_progress(connection: sa.Connection, source: str, file: str, line: int, *, finished: bool) -> None:
    """Remembers that every line before `line` is loaded; belongs in the transaction that loads them."""
    statement = upsert(import_progress, connection.dialect.name, ["source", "file"], ["next_line", "finished"])
    connection.execute(statement.values(source=source, file=file, next_line=line, finished=finished))


def widen_cache(engine: sa.Engine) -> None:
    """Gives SQLite the memory that a bulk load needs; nothing on PostgreSQL."""
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def widen(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA cache_size=-{_SQLITE_CACHE_KIB}")
            cursor.execute(f"PRAGMA wal_autocheckpoint={_SQLITE_CHECKPOINT_PAGES}")
            cursor.close()


def _copy(driver: Any, target: Target, rows: Iterable[Row]) -> int:
    table, names = target.table.name, ", ".join(f'"{name}"' for name in target.columns)
    stage = f"bulk_{table}"
    with driver.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS SELECT {names} FROM {table} WITH NO DATA")  # noqa: S608
        with cursor.copy(f"COPY {stage} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {stage} {target.conflict_clause}")  # noqa: S608
        written = int(cursor.rowcount)
        cursor.execute(f"DROP TABLE {stage}")
    return written


def _execute_many(driver: Any, target: Target, rows: Iterable[Row]) -> int:
    names, marks = ", ".join(f'"{name}"' for name in target.columns), ", ".join("?" for _ in target.columns)
    columns = enumerate(target.columns)
    times = [place for place, name in columns if isinstance(target.table.c[name].type, UtcDateTime)]
    statement = f"INSERT INTO {target.table.name} ({names}) VALUES ({marks}) {target.conflict_clause}"  # noqa: S608
    return int(driver.executemany(statement, _with_sqlite_times(rows, times)).rowcount)


def _with_sqlite_times(rows: Iterable[Row], places: Sequence[int]) -> Iterator[Sequence[object]]:
    """Writes times as SQLAlchemy's SQLite dialect does, with all six digits: SQLite compares them as texts."""
    for row in rows:
        values = list(row)
        for place in places:
            if isinstance(time := values[place], datetime):
                values[place] = time.isoformat(" ", "microseconds")[:_SQLITE_TIME_CHARS]
        yield values
