"""What the ledger says: sums over its days, and over its rows for one user."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import without_index
from storage.tables import (
    outcome_countries,
    outcome_days,
    outcome_positions,
    outcome_verdicts,
    outcome_waiting,
    prediction_outcomes,
    recommendation_decisions,
)

_DAYS: Final = outcome_days.c
# What sums by some columns are read from: the first that has them all.
_ROLLUPS: Final = (outcome_days, outcome_positions, outcome_countries)


class Acceptance(NamedTuple):
    """How much of what was served was accepted."""

    served: int
    accepted: int


class AlgorithmSums(NamedTuple):
    """The sums of one algorithm."""

    algorithm: str
    served: int
    accepted: int
    ever_consumed: int
    ever_added: int
    ever_rated: int


async def acceptance(
    connection: AsyncConnection, accepted: Sequence[str], since: date, *, user_id: str, algorithm: str
) -> Acceptance:
    """Returns what was served and accepted.

    Args:
        connection: An open transaction.
        accepted: The names of the outcomes that are.
        since: What was served on this day (UTC) or later.
        user_id: Only to this user; empty: to all.
        algorithm: Only by this algorithm; empty: by all.
    """
    if user_id:
        wanted = _of_user(accepted, datetime.combine(since, time.min, UTC), user_id)
        made_by = without_index(recommendation_decisions.c.algorithm) == algorithm  # the user's are fewer
        wanted = wanted.where(made_by) if algorithm else wanted
    else:
        wanted = sa.select(_sum(_DAYS.served), _accepted(accepted)).where(_DAYS.day >= since)
        wanted = wanted.where(_DAYS.algorithm == algorithm) if algorithm else wanted
    row: Any = (await connection.execute(wanted)).one()
    return Acceptance(int(row[0]), int(row[1]))


async def by_algorithm(connection: AsyncConnection, accepted: Sequence[str], since: date) -> list[AlgorithmSums]:
    """Returns the sums of each algorithm, by name; arguments as of `acceptance`."""
    sums = (_DAYS.served, _DAYS.ever_consumed, _DAYS.ever_added, _DAYS.ever_rated)
    served, *rest = (_sum(column) for column in sums)
    wanted = (
        sa.select(_DAYS.algorithm, served, _accepted(accepted), *rest)
        .where(_DAYS.day >= since)
        .group_by(_DAYS.algorithm)
        .order_by(_DAYS.algorithm)
    )
    found: Sequence[Any] = (await connection.execute(wanted)).all()
    return [AlgorithmSums(algorithm, *map(int, counts)) for algorithm, *counts in found]


async def grouped(
    connection: AsyncConnection,
    key: Sequence[str],
    counts: Mapping[str, Sequence[str]],
    days: tuple[date, date],
    algorithm: str,
) -> list[dict[str, Any]]:
    """Returns sums by some columns, in no order; no row where nothing was served.

    Args:
        connection: An open transaction.
        key: Columns to tell rows apart by: of one table of sums.
        counts: For each name the columns that are added up under it.
        days: What was served from the first to the last of these days (UTC).
        algorithm: Only by this algorithm; empty: by all.
    """
    column = next(table.c for table in _ROLLUPS if set(key) <= set(table.c.keys()))
    totals = {name: sum((column[each] for each in summed), start=sa.literal(0)) for name, summed in counts.items()}
    wanted = (
        sa.select(*(column[name] for name in key), *(_whole(total).label(name) for name, total in totals.items()))
        .where(column.day.between(*days))
        .group_by(*(column[name] for name in key))
        .having(sa.func.count() > 0)
    )
    wanted = wanted.where(column.algorithm == algorithm) if algorithm else wanted
    return [dict(row) for row in (await connection.execute(wanted)).mappings()]


async def sums(connection: AsyncConnection, names: Sequence[str]) -> dict[str, int]:
    """Returns the sums of these columns of the days, over everything."""
    row: Any = (await connection.execute(sa.select(*(_sum(_DAYS[name]) for name in names)))).one()
    return {name: int(value) for name, value in zip(names, row, strict=True)}


async def verdicts(connection: AsyncConnection) -> dict[str, int]:
    """Returns how many claims were judged how."""
    found = await connection.execute(
        sa.select(outcome_verdicts.c.verdict, outcome_verdicts.c["count"].label("count_of"))
    )
    return {row.verdict: row.count_of for row in found}


async def waiting(connection: AsyncConnection) -> int:
    """Returns how many claims wait for their page."""
    return await connection.scalar(sa.select(sa.func.count()).select_from(outcome_waiting)) or 0


def _of_user(accepted: Sequence[str], since: datetime, user_id: str) -> sa.Select[int, int]:
    decision, entry = recommendation_decisions.c, prediction_outcomes.c
    same = (entry.recommendation_id == decision.recommendation_id) & (entry.position == decision.position)
    return (
        sa.select(sa.func.count(), sa.func.count().filter(entry.user_action.in_(accepted)))
        .select_from(recommendation_decisions.join(prediction_outcomes, same))
        .where(decision.user_id == user_id, decision.created_at >= since)
    )


def _accepted(names: Sequence[str]) -> sa.ColumnElement[int]:
    total: sa.ColumnElement[int] = sum((_DAYS[name] for name in names), start=sa.literal(0))
    return _sum(total)


def _whole(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Returns a sum as a whole number: PostgreSQL makes a decimal of it, which takes long to read."""
    return sa.cast(sa.func.sum(column), sa.BigInteger)


def _sum(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(column), 0)
