"""What all transactions of a pool may do: nobody who opens one can forget it."""

import time
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

# About a millisecond of SQLite's work: so often it is asked whether a statement may go on.
_INSTRUCTIONS: Final = 10_000
_DEADLINE: Final = "feed_deadline_s"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pool's transactions may do.

    Args:
        statement_timeout_s: Longest time of a statement, waiting for locks included, in seconds. The database ends it,
            not only its caller's wait. PostgreSQL also ends a transaction that has been idle for as long.
        read_only: Whether the database refuses to write.
    """

    statement_timeout_s: float
    read_only: bool = False


def limit_postgres(engine: sa.Engine, limits: Limits) -> None:
    """Limits an engine's transactions. A session may be another one's: poolers lend it for a transaction."""
    timeout_ms = str(round(limits.statement_timeout_s * 1000))
    settings = {"statement_timeout": timeout_ms, "idle_in_transaction_session_timeout": timeout_ms}
    if limits.read_only:
        settings["transaction_read_only"] = "on"
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    statement = f"SELECT {calls}"

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(statement)


def limit_sqlite(engine: sa.Engine, limits: Limits) -> None:
    """Limits an engine's connections, which work in threads of this process: a cancelled wait would not end them."""

    def begin(info: dict[Any, Any]) -> None:
        info[_DEADLINE] = time.monotonic() + limits.statement_timeout_s

    @sa.event.listens_for(engine, "connect")
    def limit(connection: Any, record: Any) -> None:
        begin(record.info)

        def is_late() -> bool:
            deadline: float = record.info[_DEADLINE]
            return time.monotonic() > deadline

        connection.run_async(lambda driver: driver.set_progress_handler(is_late, _INSTRUCTIONS))
        if limits.read_only:
            cursor = connection.cursor()
            cursor.execute("PRAGMA query_only=ON")
            cursor.close()

    @sa.event.listens_for(engine, "checkout")
    def lend(_connection: Any, record: Any, _lent: Any) -> None:
        begin(record.info)  # whoever uses the driver itself tells nobody when a statement begins

    @sa.event.listens_for(engine, "before_cursor_execute")
    def execute(connection: sa.Connection, *_statement: Any) -> None:
        begin(connection.info)
