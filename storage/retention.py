"""How long rows stay: what is older is deleted day by day, in small transactions."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from storage.personal_data import delete_decisions
from storage.tables import (
    experiment_users,
    experiments,
    model_trainings,
    prediction_outcomes,
    recommendation_decisions,
    trending,
    user_interactions,
    user_recommendations,
)

# A tenth of a second on a busy machine, for which others wait on SQLite.
_BATCH_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days rows stay, by what they are; 0: for ever.

    Args:
        interactions: What users did; models learn no older ones.
        decisions: What was served, with what became of it; what is still pending stays longer.
        trending: Sums of an hour.
        experiment_users: What users of an experiment were served and did, after its end.
        trainings: Runs of the training.
    """

    interactions: int
    decisions: int
    trending: int
    experiment_users: int
    trainings: int


async def prune(database: Database, kept: Retention, now: datetime) -> dict[str, int]:
    """Deletes what is too old; returns the rows by table. May be killed at any time, and run again.

    Args:
        database: The pool.
        kept: How long rows stay.
        now: The time.

    Raises:
        SQLAlchemyError: When the database refuses or goes away; what was deleted stays so.
    """
    deleted = {user_recommendations.name: await _prune(database, _older(user_recommendations, "expires_at", now))}
    for table, column, days in (
        (user_interactions, "event_time", kept.interactions),
        (trending, "bucket", kept.trending),
        (model_trainings, "started_at", kept.trainings),
    ):
        deleted[table.name] = await _prune(database, _older(table, column, _start(now, days))) if days else 0
    deleted[recommendation_decisions.name] = 0
    if kept.decisions:
        deleted[recommendation_decisions.name] = await _prune_decisions(database, _start(now, kept.decisions))
    deleted[experiment_users.name] = 0
    if kept.experiment_users:
        over = _of_experiments_over(_start(now, kept.experiment_users))
        deleted[experiment_users.name] = await _prune(database, over)
    return deleted


def _start(now: datetime, days: int) -> datetime:
    """Returns the midnight before which a day is too old: days go whole, as they are exported."""
    return datetime.combine((now - timedelta(days=days)).astimezone(UTC).date(), time.min, UTC)


def _older(table: sa.Table, column: str, until: datetime) -> sa.Delete:
    key = table.primary_key.columns
    some = sa.select(*key).where(table.c[column] < until).limit(_BATCH_ROWS)
    return sa.delete(table).where(sa.tuple_(*key).in_(some))


def _of_experiments_over(until: datetime) -> sa.Delete:
    key = experiment_users.primary_key.columns
    over = sa.select(experiments.c.name).where(experiments.c.ended_at < until)
    some = sa.select(*key).where(experiment_users.c.experiment.in_(over)).limit(_BATCH_ROWS)
    return sa.delete(experiment_users).where(sa.tuple_(*key).in_(some))


async def _prune(database: Database, some: sa.Delete) -> int:
    async def delete(connection: AsyncConnection) -> int:
        return (await connection.execute(some)).rowcount

    return await _repeated(database, delete)


async def _prune_decisions(database: Database, until: datetime) -> int:
    """Deletes decisions with their outcomes; algorithm by algorithm, as the index has them."""
    total = 0
    async with database.read() as connection:
        algorithm = await _algorithm_after(connection, "")
    while algorithm is not None:
        total += await _repeated(database, partial(delete_decisions, some=_decided(algorithm, until)))
        async with database.read() as connection:
            algorithm = await _algorithm_after(connection, algorithm)
    return total


async def _repeated(database: Database, delete: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    total, deleted = 0, _BATCH_ROWS
    while deleted >= _BATCH_ROWS:
        async with database.begin() as connection:
            deleted = await delete(connection)
        total += deleted
    return total


async def _algorithm_after(connection: AsyncConnection, name: str) -> str | None:
    """Returns the next name in the index, without a look at its rows."""
    column = recommendation_decisions.c.algorithm
    found: str | None = await connection.scalar(sa.select(sa.func.min(column)).where(column > name))
    return found


def _decided(algorithm: str, until: datetime) -> sa.Select[Any]:
    decision, entry = recommendation_decisions.c, prediction_outcomes.c
    pending = sa.select(sa.literal(1)).where(
        entry.recommendation_id == decision.recommendation_id,
        entry.position == decision.position,
        entry.user_action == sa.literal_column("'pending'"),
    )
    return (
        sa.select(decision.recommendation_id, decision.position)
        .where(decision.algorithm == algorithm, decision.created_at < until, ~pending.exists())
        .order_by(decision.created_at)
        .limit(_BATCH_ROWS)
    )
