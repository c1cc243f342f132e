"""What became of the videos that a correction is about."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.correction_rules import Rule
from storage.dialect import set_for_transaction
from storage.tables import UtcDateTime, prediction_outcomes, recommendation_decisions, videos

# So many videos are looked up one by one.
_FEW: Final = 200
# The planner knows neither how many rows are in the parts of a time nor how they lie, and would read whole tables.
_BY_INDEX: Final = {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}


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


class Meant(NamedTuple):
    """What of the served videos a rule is about; None does not limit.

    Args:
        rule: The rule.
        video_ids: The only videos that have what it asks for; None: there are many of them, or it asks for nothing.
    """

    rule: Rule
    video_ids: Collection[str] | None

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads to what it is about: a user's, or those of its videos."""
        return bool(self.rule.user_id or self.rule.video_id) or self.video_ids is not None

    @property
    def is_of_many(self) -> bool:
        """Whether the catalogue has to say which videos have what it asks for."""
        return bool(self.rule.target_value) and self.video_ids is None


async def meant_by(connection: AsyncConnection, rule: Rule) -> Meant:
    """Returns what a rule is about; of a reweighting all videos are meant, those of its user if it has one."""
    if not rule.target_value:
        return Meant(rule, None)
    having = sa.select(videos.c.video_id).where(_has(rule, connection.dialect.name)).limit(_FEW + 1)
    found = (await connection.scalars(having)).all()
    return Meant(rule, found if len(found) <= _FEW else None)


async def served_narrowly(connection: AsyncConnection, meant: Meant, first: datetime, end: datetime) -> int:
    """Returns how many videos of a narrow rule's user, or else how many of its own, were served: by the index alone.

    Args:
        connection: An open transaction.
        meant: What it is about.
        first: What was served from then on.
        end: What was served before.
    """
    decision, rule = recommendation_decisions.c, meant.rule
    if rule.user_id:
        whose = decision.user_id == rule.user_id
    else:
        whose = decision.video_id.in_([rule.video_id] if rule.video_id else meant.video_ids or ())
    wanted = sa.select(sa.func.count()).where(whose, decision.created_at >= first, decision.created_at < end)
    return await connection.scalar(wanted) or 0


async def counts(
    connection: AsyncConnection, meant: Meant, names: OutcomeNames, times: Sequence[tuple[datetime, datetime]]
) -> ServedCounts:
    """Counts the served videos that a rule is about.

    Args:
        connection: An open transaction.
        meant: What it is about.
        names: What counts as what.
        times: What was served from the first instant of one of them on, and before its end; they do not overlap.
    """
    entry = prediction_outcomes.c
    # First what indexes lead to, then what became of it: otherwise the planner might begin with all there is.
    found = _served(meant, times, connection.dialect.name).cte("served").prefix_with("MATERIALIZED")
    same = (entry.recommendation_id == found.c.recommendation_id) & (entry.position == found.c.position)
    action = sa.select(entry.user_action).where(same).correlate(found).scalar_subquery().label("action")
    looked_up = sa.select(action).select_from(found)
    if meant.is_of_many:
        having = videos.c.video_id == found.c.video_id, _has(meant.rule, connection.dialect.name)
        looked_up = looked_up.where(sa.exists().where(*having))
    outcome = looked_up.cte("outcome").prefix_with("MATERIALIZED").c.action
    wanted = sa.select(sa.func.count(outcome), *(sa.func.count().filter(outcome.in_(each)) for each in names))
    await set_for_transaction(connection, _BY_INDEX)
    row: Any = (await connection.execute(wanted)).one()
    return ServedCounts(*row)


def _served(meant: Meant, times: Sequence[tuple[datetime, datetime]], dialect_name: str) -> sa.Select[Any]:
    """Returns the query for what was served of a rule's videos in some parts of a time; maybe with rows of nothing.

    Part by part: with all parts in one condition a planner looks through all that leads to the videos or the user.
    """
    decision = recommendation_decisions
    columns = (decision.c.recommendation_id, decision.c.position, decision.c.video_id)
    bounds = (sa.column("first", UtcDateTime), sa.column("end", UtcDateTime))
    parts = sa.values(*bounds, name="part").data([*times])
    if dialect_name == "postgresql":
        within = sa.select(*columns).where(*_in(parts.c), *_indexed(meant)).correlate(parts)
        return sa.select(within.offset(0).lateral("within")).select_from(parts)
    part = parts.cte("part")  # SQLite names columns of nothing else, and looks at what is left of a LEFT JOIN first
    return sa.select(*columns).select_from(part.outerjoin(decision, sa.and_(*_in(part.c), *_indexed(meant))))


def _in(part: Any) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    created_at = recommendation_decisions.c.created_at
    return created_at >= part.first, created_at < part.end


def _indexed(meant: Meant) -> Iterator[sa.ColumnElement[bool]]:
    decision, rule = recommendation_decisions.c, meant.rule
    asked = (
        (decision.user_id, rule.user_id),
        (decision.video_id, rule.video_id),
        (decision.media_type, rule.media_type),
    )
    yield from (column == value for column, value in asked if value)
    if meant.video_ids is not None:
        yield decision.video_id.in_(meant.video_ids)


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
