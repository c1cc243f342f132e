"""Reads of the database that lists and memories are made from: bounded in time, with one error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bridge.ports import ListError
from storage.database import Database


@asynccontextmanager
async def reading(database: Database, what: str, timeout_s: float) -> AsyncIterator[AsyncConnection]:
    """Opens a transaction that only reads.

    Args:
        database: The pool.
        what: What is read, for the error.
        timeout_s: Longest time in all, in seconds.

    Raises:
        ListError: When the database does not answer, or not in time.
    """
    async with bounded(what, timeout_s), database.read() as connection:
        yield connection


@asynccontextmanager
async def bounded(what: str, timeout_s: float) -> AsyncIterator[None]:
    """Bounds what is done with the database.

    Args:
        what: What is read, for the error.
        timeout_s: Longest time in all, in seconds.

    Raises:
        ListError: When the database does not answer, or not in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError too
        raise ListError(f"{what}: {type(error).__name__}") from error
