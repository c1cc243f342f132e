"""Transactions of the insights: bounded in time, in the database and here, with one error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from insights.ports import LedgerUnavailableError
from storage.database import Database
from storage.dialect import set_for_transaction


@asynccontextmanager
async def bounded(
    transaction: AbstractAsyncContextManager[AsyncConnection], timeout_s: float
) -> AsyncIterator[AsyncConnection]:
    """Opens a transaction.

    Args:
        transaction: What `Database.begin` or `Database.read` returns.
        timeout_s: Longest time of a statement, and of all of them together, in seconds.

    Raises:
        LedgerUnavailableError: When the database does not answer, refuses, or not in time.
    """
    try:
        async with asyncio.timeout(timeout_s), transaction as connection:
            limit = f"{timeout_s:g}s"
            # An own transaction's idleness too: who hangs must not hold the ledger's lock.
            settings = {"statement_timeout": limit, "idle_in_transaction_session_timeout": limit}
            await set_for_transaction(connection, settings)
            yield connection
    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError too
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        raise LedgerUnavailableError(f"the database cannot be used: {str(cause) or type(cause).__name__}") from error


def reading(database: Database, timeout_s: float) -> AbstractAsyncContextManager[AsyncConnection]:
    """Opens a transaction that only reads; otherwise as `bounded`."""
    return bounded(database.read(), timeout_s)
