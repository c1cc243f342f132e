"""What was served, as it was written down."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import recommendation_decisions


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
        columns.recommendation_id == recommendation_id, columns.user_id == user_id, columns.video_id == video_id
    )
    row: Any = (await connection.execute(wanted)).first()
    return None if row is None else StoredDecision._make(row)
