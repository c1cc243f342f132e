"""What every store of the sink does alike: rows and log offsets in one transaction, tried again where that helps."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.ports import Offsets, Partition
from interactions.sink.ports import RowsRefusedError, StoreUnavailableError
from storage import interactions, log_offsets
from storage.database import Database
from storage.dialect import set_for_transaction

ResultT = TypeVar("ResultT")

# Another sink wrote some of the same rows meanwhile: from then on they are known.
_ATTEMPTS: Final = 5
# A database that hangs sends no error.
TIMEOUT_S: Final = 30.0
_SETTINGS: Final = {
    # A sink that hangs in its transaction must not hold up the others, who wait for its rows.
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
    # A plan kept from when the table was small takes any index, and then 2 ms an event once it has grown (measured).
    "plan_cache_mode": "force_custom_plan",
}


class LogTransactions:
    """The transactions of a store that keeps one topic.

    Args:
        database: Open as long as this is used.
        group: Name of the readers whose offsets these are.
        topic: What they read.
        timeout_s: Longest time of a transaction, in seconds.
    """

    def __init__(self, database: Database, group: str, topic: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._database = database
        self._group = group
        self._topic = topic
        self._timeout_s = timeout_s

    async def load_offsets(self, partitions: Collection[Partition]) -> Offsets:
        """Returns where the last transaction on each partition left off; raises StoreUnavailableError."""
        try:
            async with asyncio.timeout(self._timeout_s), self._database.read() as connection:
                found = await log_offsets.load(connection, self._group, self._topic)
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable(error) from error
        offsets = {Partition(self._topic, partition): offset for partition, offset in found.items()}
        return {partition: offset for partition, offset in offsets.items() if partition in partitions}

    async def write(self, work: Callable[[AsyncConnection], Awaitable[ResultT]], offsets: Offsets) -> ResultT:
        """Does the work and keeps the offsets, both or neither; returns what the work returns.

        Args:
            work: May be called several times, each time in a new transaction that it must not end.
            offsets: The next offset of each partition.

        Raises:
            RowsRefusedError: The database refuses what the rows hold.
            StoreUnavailableError: It cannot be written now.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._write(work, offsets)
            except DBAPIError as error:
                if interactions.is_taken(error) and attempt < _ATTEMPTS:
                    continue
                if interactions.is_about_rows(error) and not interactions.is_taken(error):
                    raise RowsRefusedError(str(error.orig)) from error
                raise _unavailable(error) from error
            except (SQLAlchemyError, OSError) as error:
                raise _unavailable(error) from error
        raise AssertionError  # every attempt returns, raises or goes on to the next

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[ResultT]], offsets: Offsets) -> ResultT:
        async with self._database.begin() as connection:
            await set_for_transaction(connection, _SETTINGS)
            result = await work(connection)
            next_offsets = {partition: offset for (_, partition), offset in offsets.items()}
            await log_offsets.save(connection, self._group, self._topic, next_offsets)
        return result


def _unavailable(error: Exception) -> StoreUnavailableError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return StoreUnavailableError(f"the database cannot be used: {str(cause) or type(cause).__name__}")
