"""What was served, as it was written down."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import without_index
from storage.tables import prediction_outcomes, recommendation_decisions, videos

# As many as a page may have.
_PAGE_VIDEOS: Final = 100


class StoredDecision(NamedTuple):
    """One video of a page; columns of `recommendation_decisions`."""

    position: int
    final_score: float | None
    score_components: Mapping[str, float] | None
    rejections: Mapping[str, int] | None
    source_type: str
    algorithm: str
    model_version: str | None
    propensity: float | None


async def read_decision(
    connection: AsyncConnection, recommendation_id: str, user_id: str, video_id: str
) -> StoredDecision | None:
    """Returns why a video was on a user's page; None when it was not, or that is not known any more."""
    columns = recommendation_decisions.c
    wanted = sa.select(*(columns[name] for name in StoredDecision._fields)).where(
        columns.recommendation_id == recommendation_id,
        without_index(columns.user_id) == user_id,
        without_index(columns.video_id) == video_id,
    )
    row: Any = (await connection.execute(wanted)).first()
    return None if row is None else StoredDecision._make(row)


class PageRow(NamedTuple):
    """What all videos of a page have in common; columns of `recommendation_decisions`."""

    recommendation_id: str
    user_id: str
    feed_session_id: str | None
    created_at: datetime
    source_type: str
    fallback_reason: str | None
    algorithm: str
    model_version: str | None
    experiments: Sequence[Mapping[str, str]] | None
    filters_applied: Mapping[str, object] | None
    rejections: Mapping[str, int] | None


class VideoRow(NamedTuple):
    """A video of a page: columns of `recommendation_decisions`, `videos` and `prediction_outcomes`."""

    position: int
    video_id: str
    final_score: float | None
    score_components: Mapping[str, float] | None
    propensity: float | None
    title: str | None
    user_action: str | None
    rating: float | None
    watch_time_s: float | None


_DECISION: Final = recommendation_decisions.c
_OF_PAGE: Final = tuple(_DECISION[name] for name in PageRow._fields)


async def read_page(connection: AsyncConnection, recommendation_id: str) -> tuple[PageRow, list[VideoRow]] | None:
    """Returns a page with its videos and what became of them, best first; None: no video of it is known."""
    entry = prediction_outcomes.c
    same = (entry.recommendation_id == _DECISION.recommendation_id) & (entry.position == _DECISION.position)
    joined = recommendation_decisions.outerjoin(prediction_outcomes, same).outerjoin(
        videos, videos.c.video_id == _DECISION.video_id
    )
    of_video = (
        *(_DECISION.position, _DECISION.video_id, _DECISION.final_score, _DECISION.score_components),
        *(_DECISION.propensity, videos.c.title, entry.user_action, entry.rating, entry.watch_time_s),
    )
    wanted = (
        sa.select(*_OF_PAGE, *of_video)
        .select_from(joined)
        .where(_DECISION.recommendation_id == recommendation_id)
        .order_by(_DECISION.position)
    )
    rows: Sequence[Any] = (await connection.execute(wanted)).all()
    if not rows:
        return None
    width = len(_OF_PAGE)
    return PageRow(*rows[0][:width]), [VideoRow(*row[width:]) for row in rows]


async def newest_pages(connection: AsyncConnection, user_id: str, limit: int) -> list[PageRow]:
    """Returns the pages that a user was served last, newest first.

    Args:
        connection: An open transaction.
        user_id: Whose they are.
        limit: Most of them.
    """
    newest = (
        sa.select(_DECISION.recommendation_id, _DECISION.position)
        .where(_DECISION.user_id == user_id)
        .order_by(_DECISION.created_at.desc())
        .limit(limit * _PAGE_VIDEOS)
        .subquery()
    )
    place = sa.func.min(newest.c.position).label("position")
    first = sa.select(newest.c.recommendation_id, place).group_by(newest.c.recommendation_id).subquery()
    same = (first.c.recommendation_id == _DECISION.recommendation_id) & (first.c.position == _DECISION.position)
    wanted = (
        sa.select(*_OF_PAGE)
        .select_from(recommendation_decisions.join(first, same))
        .order_by(_DECISION.created_at.desc(), _DECISION.recommendation_id)
        .limit(limit)
    )
    return [PageRow(*row) for row in await connection.execute(wanted)]
