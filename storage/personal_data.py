"""Everything the tables hold of one user: taken out in small transactions, or read in full.

Roll-ups (`outcome_days`, `outcome_totals`, `outcome_verdicts`, `trending`) count what happened and name nobody: they
stay as they are.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import ledger
from storage.database import Database
from storage.tables import (
    experiment_users,
    feed_cache,
    model_corrections,
    outcome_waiting,
    prediction_outcomes,
    recommendation_decisions,
    user_interactions,
    user_recommendations,
    users,
)

# A tenth of a second on a busy machine, for which others wait on SQLite.
_BATCH_ROWS: Final = 1_000
# Rows fetched at a time.
_READ_ROWS: Final = 5_000

# Takes out some rows of a user; returns how many, fewer than the limit at the end.
_Step: TypeAlias = Callable[[AsyncConnection, str, int], Awaitable[int]]

_PENDING: Final[sa.ColumnElement[str]] = sa.literal_column("'pending'")


async def erase_rows(database: Database, user_id: str) -> int:
    """Deletes all rows of a user but the one in `users`; returns how many there were.

    May be killed at any time and run again. Whoever is not marked as erased beforehand gets new rows meanwhile.

    Args:
        database: The pool.
        user_id: The user.

    Raises:
        SQLAlchemyError: When the database refuses or goes away; what was deleted stays so.
    """
    total = 0
    for step in _STEPS.values():
        deleted = _BATCH_ROWS
        while deleted >= _BATCH_ROWS:
            async with database.begin() as connection:
                deleted = await step(connection, user_id, _BATCH_ROWS)
            total += deleted
    return total


def rows_of(connection: sa.Connection, user_id: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Streams every row of a user, each with the name of its table.

    Args:
        connection: An open transaction that reads.
        user_id: The user.
    """
    streaming = connection.execution_options(stream_results=True, max_row_buffer=_READ_ROWS)
    for table, statement in _reads(user_id):
        for row in streaming.execute(statement).mappings():
            yield table.name, dict(row)


def erased_columns() -> set[str]:
    """Returns the columns that name a user and are seen to, as `table.column`."""
    return {*_STEPS, f"{users.name}.user_id"}


def _reads(user_id: str) -> Iterator[tuple[sa.Table, sa.Select[Any]]]:
    for table in (users, *_OWN, recommendation_decisions):
        yield table, sa.select(table).where(table.c.user_id == user_id).order_by(*table.primary_key.columns)
    decision = recommendation_decisions.c
    outcomes = sa.select(prediction_outcomes).join(recommendation_decisions, _same_decision())
    key = prediction_outcomes.primary_key.columns
    yield prediction_outcomes, outcomes.where(decision.user_id == user_id).order_by(*key)


def _same_decision() -> sa.ColumnElement[bool]:
    decision, entry = recommendation_decisions.c, prediction_outcomes.c
    return (entry.recommendation_id == decision.recommendation_id) & (entry.position == decision.position)


def _deleting(table: sa.Table) -> _Step:
    async def delete(connection: AsyncConnection, user_id: str, limit: int) -> int:
        # Whoever keeps the ledger writes some of these rows, too, of what it read before.
        await ledger.lock(connection)
        key = table.primary_key.columns
        some = sa.select(*key).where(table.c.user_id == user_id).limit(limit)
        return (await connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(some)))).rowcount

    return delete


async def _delete_decisions(connection: AsyncConnection, user_id: str, limit: int) -> int:
    decision = recommendation_decisions.c
    some = sa.select(decision.recommendation_id, decision.position).where(decision.user_id == user_id).limit(limit)
    return await delete_decisions(connection, some)


async def delete_decisions(connection: AsyncConnection, some: sa.Select[str, int]) -> int:
    """Deletes decisions with their outcomes, and takes those that are pending out of the totals: these balance.

    Args:
        connection: An open transaction that may write.
        some: Selects the pages and positions, the same ones each time in this transaction.

    Returns:
        How many decisions there were.
    """
    await ledger.lock(connection)
    chosen = [tuple(row) for row in await connection.execute(some)]
    if not chosen:
        return 0
    entry, decision = prediction_outcomes.c, recommendation_decisions.c
    of_entry = sa.tuple_(entry.recommendation_id, entry.position).in_(chosen)
    undecided = sa.select(entry.group_id, sa.func.count()).where(of_entry, entry.user_action == _PENDING)
    counts = {
        group: {"served": -count, "pending": -count}
        for group, count in await connection.execute(undecided.group_by(entry.group_id))
    }
    await ledger.add_totals(connection, counts)
    await connection.execute(sa.delete(prediction_outcomes).where(of_entry))
    of_decision = sa.tuple_(decision.recommendation_id, decision.position).in_(chosen)
    await connection.execute(sa.delete(recommendation_decisions).where(of_decision))
    return len(chosen)


async def _forget_similar(connection: AsyncConnection, user_id: str, limit: int) -> int:
    row = recommendation_decisions.c
    key = (row.recommendation_id, row.position)
    some = sa.select(*key).where(row.similar_user_id == user_id).limit(limit)
    named = sa.update(recommendation_decisions).where(sa.tuple_(*key).in_(some)).values(similar_user_id=None)
    return (await connection.execute(named)).rowcount


# Tables whose rows belong to the user that they name. What is done goes first, then what was served: the ledger reads
# both, and writes the rest.
_OWN: Final = (
    user_interactions,
    feed_cache,
    user_recommendations,
    outcome_waiting,
    experiment_users,
    model_corrections,
)
_STEPS: Final[Mapping[str, _Step]] = {
    f"{user_interactions.name}.user_id": _deleting(user_interactions),
    f"{recommendation_decisions.name}.user_id": _delete_decisions,
    f"{recommendation_decisions.name}.similar_user_id": _forget_similar,
    **{f"{table.name}.user_id": _deleting(table) for table in _OWN[1:]},
}
