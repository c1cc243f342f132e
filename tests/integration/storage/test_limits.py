"""A pool's limits hold in every transaction of it, whatever its user forgets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from storage.database import Database
from storage.limits import Limits
from storage.tables import outcome_verdicts

ENDLESS = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
ROW = {"verdict": "tied", "count": 1}

Open = Callable[[Limits], Database]


@pytest.fixture
async def open_pool(database_url: str) -> AsyncIterator[Open]:
    """Opens a pool of one connection."""
    opened: list[Database] = []

    def pool(limits: Limits) -> Database:
        opened.append(Database(database_url, pool_size=1, limits=limits))
        return opened[-1]

    yield pool
    for each in opened:
        await each.close()


async def endless(pool: Database) -> None:
    async with pool.read() as connection:
        await connection.execute(ENDLESS)


async def verdicts(pool: Database) -> int | None:
    async with pool.read() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(outcome_verdicts))


async def test_the_database_ends_a_statement_that_takes_long(open_pool: Open) -> None:
    pool = open_pool(Limits(statement_timeout_s=0.2))
    with pytest.raises(DBAPIError):
        await endless(pool)
    assert await verdicts(pool) == 0


async def test_it_also_ends_one_that_nobody_waits_for(open_pool: Open) -> None:
    """The one connection would be taken for good: SQLite's driver works on whatever its caller has given up."""
    pool = open_pool(Limits(statement_timeout_s=1.0))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await endless(pool)
    assert await verdicts(pool) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_who_uses_the_driver_itself_has_time_of_his_own(open_pool: Open) -> None:
    """Not what the statement before him left."""
    pool = open_pool(Limits(statement_timeout_s=1.0))
    with pytest.raises(DBAPIError):
        await endless(pool)
    counted = f"{ENDLESS.text.removesuffix(' FROM n')} FROM (SELECT i FROM n LIMIT 50000)"
    async with pool.driver() as driver:
        assert [tuple(row) for row in await driver.execute_fetchall(counted)] == [(50_000,)]


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_session_is_left_as_it_was(open_pool: Open) -> None:
    """A pooler lends it to somebody else with the next transaction."""
    pool = open_pool(Limits(statement_timeout_s=5.0, read_only=True))
    settings = "statement_timeout", "idle_in_transaction_session_timeout", "transaction_read_only"

    async def now() -> list[str]:
        async with pool.driver() as driver:
            return [await driver.fetchval(f"SHOW {name}") for name in settings]

    assert await now() == ["0", "0", "off"]
    async with pool.read() as connection:
        within = [await connection.scalar(sa.text(f"SHOW {name}")) for name in settings]
    assert within == ["5s", "5s", "on"]
    assert await now() == ["0", "0", "off"]


async def _by_core(pool: Database) -> None:
    async with pool.begin() as connection:
        await connection.execute(outcome_verdicts.insert(), ROW)


async def _by_text(pool: Database) -> None:
    async with pool.read() as connection:
        await connection.execute(sa.text("DELETE FROM outcome_verdicts"))


@pytest.mark.parametrize("write", [_by_core, _by_text])
async def test_a_pool_that_only_reads_writes_nothing(
    open_pool: Open, write: Callable[[Database], Awaitable[None]]
) -> None:
    await _by_core(open_pool(Limits(statement_timeout_s=5.0)))
    pool = open_pool(Limits(statement_timeout_s=5.0, read_only=True))
    with pytest.raises(DBAPIError, match=r"(?i)read.?only"):
        await write(pool)
    assert await verdicts(pool) == 1
