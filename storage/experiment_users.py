"""What the users of experiments were served and did, one row a user, variant and experiment."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import among, insert
from storage.tables import experiment_users, experiments, feed_cache, recommendation_decisions

_USER: Final = experiment_users.c
_DECISION: Final = recommendation_decisions.c
_KEY: Final = ("experiment", "variant", "user_id")


class Part(NamedTuple):
    """A user in a variant of an experiment."""

    experiment: str
    variant: str
    user_id: str


class PageOfExperiments(NamedTuple):
    """A served page that counts for experiments.

    Args:
        recommendation_id: Which.
        user_id: Whose.
        fell_back: Whether the model did not rank it, although it was asked.
        elapsed_ms: How long it took, in milliseconds; None where that is not known, or not known any more.
        videos: How many videos it has.
        variants: The experiments and variants that it counts for.
    """

    recommendation_id: str
    user_id: str
    fell_back: bool
    elapsed_ms: float | None
    videos: int
    variants: Sequence[tuple[str, str]]


class VariantSums(NamedTuple):
    """What the users of a variant add up to, of a numerator x and a denominator y a user."""

    variant: str
    users: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float


async def any_were_started(connection: AsyncConnection) -> bool:
    """Says whether there was ever an experiment with users."""
    found = sa.select(sa.literal(1)).where(experiments.c.started_at.is_not(None)).limit(1)
    return await connection.scalar(found) == 1


async def pages_between(connection: AsyncConnection, after: int, until: int) -> list[PageOfExperiments]:
    """Returns the pages of `feed_cache` after one row, and not after another, that count for experiments."""
    pages = sa.select(feed_cache.c.recommendation_id).where(feed_cache.c.id > after, feed_cache.c.id <= until)
    return await _pages(connection, _DECISION.recommendation_id.in_(pages))


async def pages_among(connection: AsyncConnection, recommendation_ids: Collection[str]) -> list[PageOfExperiments]:
    """Returns those of some pages that count for experiments."""
    if not recommendation_ids:
        return []
    return await _pages(connection, among(_DECISION.recommendation_id, recommendation_ids, connection.dialect.name))


async def add(connection: AsyncConnection, added: Mapping[Part, Counter[str]]) -> None:
    """Adds to what users were served and did, by column."""
    names = sorted({name for counts in added.values() for name, count in counts.items() if count})
    if not names:
        return
    rows = [{**part._asdict(), **{name: counts[name] for name in names}} for part, counts in sorted(added.items())]
    adding = insert(experiment_users, connection.dialect.name)
    sums = {name: _USER[name] + adding.excluded[name] for name in names}
    await connection.execute(adding.on_conflict_do_update(index_elements=list(_KEY), set_=sums), rows)


async def sums(
    connection: AsyncConnection, experiment: str, pairs: Sequence[tuple[str, str]]
) -> list[list[VariantSums]]:
    """Returns for each pair what the users of each variant add up to; their rows are read once.

    Args:
        connection: An open transaction.
        experiment: Its name.
        pairs: Columns of a numerator and a denominator each.
    """
    totals = [total for x, y in pairs for total in _totals(x, y)]
    wanted = (
        sa.select(_USER.variant, sa.func.count(), *totals).where(_USER.experiment == experiment).group_by(_USER.variant)
    )
    found: Sequence[Any] = (await connection.execute(wanted)).all()
    width = len(VariantSums._fields) - 2
    return [
        [VariantSums(variant, users, *row[start : start + width]) for variant, users, *row in found]
        for start in range(0, width * len(pairs), width)
    ]


def _totals(x: str, y: str) -> Iterator[sa.ColumnElement[float]]:
    # As floats: the squares of milliseconds leave 64 bits.
    one, other = (sa.cast(_USER[name], sa.Float) for name in (x, y))
    yield from (sa.func.sum(each) for each in (one, other, one * one, other * other, one * other))


async def _pages(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> list[PageOfExperiments]:
    fell_back = sa.func.coalesce(_DECISION.fallback_reason, "NONE") != "NONE"
    wanted = (
        sa.select(
            _DECISION.recommendation_id,
            sa.func.min(_DECISION.user_id),
            sa.func.max(sa.case((fell_back, 1), else_=0)),
            sa.func.max(feed_cache.c.elapsed_ms),
            sa.func.count(),
            sa.func.min(sa.cast(_DECISION.experiments, sa.Text)),
        )
        .outerjoin_from(
            recommendation_decisions, feed_cache, feed_cache.c.recommendation_id == _DECISION.recommendation_id
        )
        .where(which, _DECISION.experiments.is_not(sa.null()))
        .group_by(_DECISION.recommendation_id)
    )
    found: Sequence[Any] = (await connection.execute(wanted)).all()
    return [
        PageOfExperiments(page, user_id, bool(fell_back), elapsed_ms, videos, _variants(experiments_text))
        for page, user_id, fell_back, elapsed_ms, videos, experiments_text in found
    ]


def _variants(text: str) -> list[tuple[str, str]]:
    return [(each["experiment"], each["variant"]) for each in json.loads(text)]
