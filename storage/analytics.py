"""What was served and what was consumed of it, in the order of the tables, for whoever analyses it elsewhere."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import without_index
from storage.tables import feed_cache, recommendation_decisions, user_interactions

_PAGE: Final = feed_cache.c
_DONE: Final = user_interactions.c
_DECISION: Final = recommendation_decisions.c


class ServedRow(NamedTuple):
    """A served page."""

    recommendation_id: str
    user_id: str
    feed_session_id: str
    algorithm: str
    source: str
    fallback_reason: str
    model_version: str | None
    first_position: int
    video_ids: Sequence[str]
    experiments: Sequence[dict[str, str]] | None
    created_at: datetime


class ConsumedRow(NamedTuple):
    """An interaction with a video that was served, and what is known of its page; None: nothing."""

    event_id: str
    user_id: str
    video_id: str
    interaction_type: str
    watch_time_s: float
    event_time: datetime
    recommendation_id: str
    feed_session_id: str | None
    position: int | None
    algorithm: str | None
    source: str | None
    fallback_reason: str | None
    model_version: str | None
    experiments: Sequence[dict[str, str]] | None


async def served_between(connection: AsyncConnection, after: int, until: int) -> list[ServedRow]:
    """Returns the pages that come after one row, and not after another."""
    same_page = _DECISION.recommendation_id == _PAGE.recommendation_id
    experiments = sa.select(_DECISION.experiments).where(same_page).limit(1).scalar_subquery()
    names = ServedRow._fields
    columns = (experiments if name == "experiments" else _PAGE[name] for name in names)
    wanted = sa.select(*columns).where(_PAGE.id > after, _PAGE.id <= until).order_by(_PAGE.id)
    found: Sequence[Any] = (await connection.execute(wanted)).all()
    return [ServedRow._make(row) for row in found]


async def taken_until(connection: AsyncConnection, after: int, until: int, time: datetime) -> int:
    """Returns the last row before the first that came after a time, of the rows after one, and not after another."""
    younger = sa.select(sa.func.min(_DONE.id)).where(_DONE.id > after, _DONE.id <= until, _DONE.ingest_time > time)
    first = await connection.scalar(younger)
    return until if first is None else first - 1


async def consumed_between(
    connection: AsyncConnection, after: int, until: int, kinds: Collection[str]
) -> list[ConsumedRow]:
    """Returns the interactions of these types with what was served that come after one row, and not after another.

    What the bridge told of the page goes before what the client did.
    """
    same = (_DECISION.recommendation_id == _DONE.recommendation_id) & (
        without_index(_DECISION.video_id) == _DONE.video_id
    )
    told: dict[str, sa.ColumnElement[Any]] = {
        "position": sa.func.coalesce(_DECISION.position, _DONE.position),
        "algorithm": sa.func.coalesce(_DECISION.algorithm, _DONE.algorithm),
        "source": _DECISION.source_type,
        "fallback_reason": _DECISION.fallback_reason,
        "model_version": sa.func.coalesce(_DECISION.model_version, _DONE.model_version),
        "experiments": sa.func.coalesce(_DECISION.experiments, _DONE.experiments, type_=_DONE.experiments.type),
    }
    wanted = (
        sa.select(*(told[name] if name in told else _DONE[name] for name in ConsumedRow._fields))
        .select_from(user_interactions.outerjoin(recommendation_decisions, same))
        .where(_DONE.id > after, _DONE.id <= until)
        .where(_DONE.recommendation_id.is_not(None), _DONE.interaction_type.in_(kinds))
        .order_by(_DONE.id)
    )
    found: Sequence[Any] = (await connection.execute(wanted)).all()
    return [ConsumedRow._make(row) for row in found]
