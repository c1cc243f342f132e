"""What became of the videos that a correction is about."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.correction_rules import CorrectionType, Rule
from storage.tables import prediction_outcomes, recommendation_decisions, videos


class OutcomeNames(NamedTuple):
    """The names of outcomes that are counted, by what they count as."""

    accepted: Sequence[str]
    hidden: Sequence[str]
    pending: Sequence[str]


class ServedCounts(NamedTuple):
    """How many videos were served, and how many of them came to what."""

    served: int
    accepted: int
    hidden: int
    pending: int


async def counts(
    connection: AsyncConnection, rule: Rule, names: OutcomeNames, first: datetime, end: datetime
) -> ServedCounts:
    """Counts the served videos that a rule is about.

    Args:
        connection: An open transaction.
        rule: Of a reweighting all videos are meant, those of its user if it has one.
        names: What counts as what.
        first: What was served from then on.
        end: What was served before.
    """
    decision, entry = recommendation_decisions.c, prediction_outcomes.c
    same = (entry.recommendation_id == decision.recommendation_id) & (entry.position == decision.position)
    of_names = (sa.func.count().filter(entry.user_action.in_(each)) for each in names)
    wanted = (
        sa.select(sa.func.count(), *of_names)
        .select_from(recommendation_decisions.join(prediction_outcomes, same))
        .where(decision.created_at >= first, decision.created_at < end, *_meant(rule, connection.dialect.name))
    )
    row: Any = (await connection.execute(wanted)).one()
    return ServedCounts(*row)


def _meant(rule: Rule, dialect_name: str) -> Iterator[sa.ColumnElement[bool]]:
    decision = recommendation_decisions.c
    asked = (
        (decision.user_id, rule.user_id),
        (decision.video_id, rule.video_id),
        (decision.media_type, rule.media_type),
    )
    yield from (column == value for column, value in asked if value)
    if rule.target_factor and rule.correction_type != CorrectionType.REWEIGHT:
        yield decision.video_id.in_(sa.select(videos.c.video_id).where(_has(rule, dialect_name)))


def _has(rule: Rule, dialect_name: str) -> sa.ColumnElement[bool]:
    """Returns the condition that a video has what a rule asks for; case counts as it does where rules are obeyed."""
    match rule.target_factor:
        case "author":
            return videos.c.author_id == rule.target_value
        case "language":
            return sa.func.lower(videos.c.language) == rule.target_value.lower()
    if dialect_name == "postgresql":
        return sa.cast(videos.c.tags, JSONB).contains([rule.target_value])
    tag = sa.func.json_each(videos.c.tags).table_valued("value")
    return sa.exists(sa.select(sa.literal(1)).select_from(tag).where(tag.c.value == rule.target_value))
