"""Connections to the one database, PostgreSQL or SQLite."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from storage.limits import Limits, limit_postgres, limit_sqlite

# SQLite waits this long for another process's write to end.
BUSY_TIMEOUT_S = 10

# Execution option of a transaction that only reads.
_READ_ONLY = {"feed_read_only": True}

_ASYNC_DRIVERS = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
_SYNC_DRIVERS = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite+pysqlite"}


class UnreachableDatabaseError(Exception):
    """The database does not answer, or refuses us; the operator mends the URL or the server."""


class UnknownRevisionError(Exception):
    """There is no migration of this name to go back to; the operator gives another one."""


class Database:
    """A pool of connections for a server process.

    Args:
        url: `postgresql://…` or `sqlite:///…`.
        pool_size: Most connections to PostgreSQL at a time.
        limits: What its transactions may do; None: everything. On PostgreSQL, `driver` is outside of them.
    """

    def __init__(self, url: str, *, pool_size: int = 5, limits: Limits | None = None) -> None:
        parsed = sa.make_url(url)
        self.engine: AsyncEngine = create_async_engine(
            parsed.set(drivername=_ASYNC_DRIVERS[parsed.drivername]), **_options(parsed, pool_size)
        )
        _tune_sqlite(self.engine.sync_engine)
        if limits is not None:
            limit = limit_sqlite if parsed.drivername == "sqlite" else limit_postgres
            limit(self.engine.sync_engine, limits)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Opens a transaction that may write: committed at the end, rolled back on an error."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Opens a transaction that only reads; on SQLite it never waits for a writer."""
        async with self.engine.connect() as connection:
            yield await connection.execution_options(**_READ_ONLY)

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[Any]:
        """Lends a connection of the driver itself, in no transaction: aiosqlite's or asyncpg's.

        Raises:
            SQLAlchemyError: When the database refuses or goes away.
        """
        pooled = await self.engine.raw_connection()
        try:
            yield pooled.driver_connection
        except BaseException as error:
            # Whatever state it is in, nobody else gets it.
            await greenlet_spawn(pooled.invalidate)
            if isinstance(error, _driver_errors(self.engine.dialect.name)):
                raise sa.exc.DBAPIError(None, None, error) from error
            raise
        await greenlet_spawn(pooled.close)

    async def close(self) -> None:
        """Closes every connection."""
        await self.engine.dispose()


def sync_engine(url: str) -> sa.Engine:
    """Makes an engine for a job that runs outside an event loop."""
    parsed = sa.make_url(url)
    _make_folder(parsed)
    engine = sa.create_engine(parsed.set(drivername=_SYNC_DRIVERS[parsed.drivername]), **_options(parsed, 2))
    _tune_sqlite(engine)
    return engine


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Opens a transaction that only reads; on SQLite it never waits for a writer."""
    with engine.connect() as connection:
        yield connection.execution_options(**_READ_ONLY)


def upgrade(url: str) -> None:
    """Brings the database to the newest schema; does nothing when it is there already.

    Raises:
        UnreachableDatabaseError: When it cannot be opened.
    """
    _migrate(url, lambda command, config: command.upgrade(config, "head"))


def downgrade(url: str, revision: str) -> None:
    """Takes the schema back to that of an older release; what that has no place for is lost.

    Args:
        url: Of the database.
        revision: The last migration that the older release has, such as `0010`.

    Raises:
        UnknownRevisionError: When there is no such migration, or the database is older.
        UnreachableDatabaseError: When it cannot be opened.
    """

    def back(command: Any, config: Any) -> None:
        from alembic.util import CommandError  # noqa: PLC0415

        try:
            command.downgrade(config, revision)
        except CommandError as error:
            raise UnknownRevisionError(revision) from error

    _migrate(url, back)


def _migrate(url: str, act: Callable[[Any, Any], None]) -> None:
    """Runs a command of alembic in one transaction."""
    # Servers never migrate, and alembic would cost each of them half a second at start.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            act(command, config)
    except sa.exc.OperationalError as error:
        shown = sa.make_url(url).render_as_string(hide_password=True)
        raise UnreachableDatabaseError(f"{shown}: {str(error.orig).splitlines()[0]}") from error
    finally:
        engine.dispose()


def _options(url: sa.URL, pool_size: int) -> dict[str, Any]:
    if url.drivername == "sqlite":
        # A transaction ends itself; ending none once more would cost each read a turn of the driver's thread.
        return {"connect_args": {"timeout": BUSY_TIMEOUT_S}, "pool_reset_on_return": None}
    return {"pool_size": pool_size, "max_overflow": 0, "pool_pre_ping": True}


def _driver_errors(dialect_name: str) -> tuple[type[Exception], ...]:
    if dialect_name == "sqlite":
        return (sqlite3.Error,)
    import asyncpg  # noqa: PLC0415  # half of all processes never need it

    return (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def _make_folder(url: sa.URL) -> None:
    if url.drivername == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _tune_sqlite(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def tune(connection: Any, _record: Any) -> None:
        # Transactions are begun by `begin` below: the driver's own way starts them only at the first write,
        # and a read that turns into a write then fails at once instead of waiting (SQLITE_BUSY_SNAPSHOT).
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA compile_options")
        if ("ENABLE_MATH_FUNCTIONS",) not in cursor.fetchall():
            connection.create_function("power", 2, pow, deterministic=True)
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        # What is deleted is about persons: it must not stay in the file.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().keys() >= _READ_ONLY.keys()
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
