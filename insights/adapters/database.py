"""Connections and transactions of the insights: bounded in time, in the database and here, with one error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from insights.ports import LedgerUnavailableError
from storage.database import Database
from storage.limits import Limits

# Of whatever keeps the books. Who hangs must not hold the ledger's lock for longer.
WRITING: Final = Limits(statement_timeout_s=30.0)
# Of whatever answers: nobody waits longer, and no server works longer on it.
READING: Final = Limits(statement_timeout_s=2.0, read_only=True)


@asynccontextmanager
async def bounded(
    transaction: AbstractAsyncContextManager[AsyncConnection], timeout_s: float
) -> AsyncIterator[AsyncConnection]:
    """Opens a transaction; each statement is bounded by the pool's own limits.

    Args:
        transaction: What `Database.begin` or `Database.read` returns.
        timeout_s: Longest time of all statements together, in seconds.

    Raises:
        LedgerUnavailableError: When the database does not answer, refuses, or not in time.
    """
    try:
        async with asyncio.timeout(timeout_s), transaction as connection:
            yield connection
    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError too
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        raise LedgerUnavailableError(f"the database cannot be used: {str(cause) or type(cause).__name__}") from error


def reading(database: Database, timeout_s: float) -> AbstractAsyncContextManager[AsyncConnection]:
    """Opens a transaction that only reads; otherwise as `bounded`."""
    return bounded(database.read(), timeout_s)
