"""The interactions of users, one row an event."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import insert_ignore
from storage.tables import user_interactions, users, videos

# SQLSTATE classes that speak of the rows and not of the server: data exception, integrity constraint violation.
_ROW_STATES: Final = ("22", "23")


class InteractionRow(TypedDict):
    """A row of `user_interactions`; columns as there, None where nothing is known."""

    event_id: str
    user_id: str
    video_id: str
    interaction_type: str
    watch_time_s: float
    event_time: datetime
    ingest_time: datetime
    feed_session_id: str | None
    recommendation_id: str | None
    position: int | None
    algorithm: str | None
    model_version: str | None
    recommendation_score: float | None
    experiments: list[dict[str, str]] | None
    rating: float | None
    metadata: dict[str, str] | None


async def insert_new(connection: AsyncConnection, rows: Sequence[InteractionRow]) -> set[str]:
    """Inserts the rows whose event is not there yet.

    Args:
        connection: An open transaction.
        rows: In any order; no event twice.

    Returns:
        The event ids that were inserted.
    """
    if not rows:
        return set()
    statement = insert_ignore(user_interactions, connection.dialect.name, ["event_id"])
    # Sorted, so that two writers of the same events wait for each other in one direction only.
    ordered: list[Any] = sorted(rows, key=lambda row: row["event_id"])
    inserted = await connection.scalars(statement.returning(user_interactions.c.event_id), ordered)
    return set(inserted)


async def countries(connection: AsyncConnection, user_ids: Iterable[str]) -> dict[str, str]:
    """Returns the country of each user who has one."""
    wanted = sa.select(users.c.user_id, users.c.country).where(users.c.user_id.in_(set(user_ids)))
    found = await connection.execute(wanted.where(users.c.country != ""))
    return {row.user_id: row.country for row in found}


async def durations_s(connection: AsyncConnection, video_ids: Iterable[str]) -> dict[str, float]:
    """Returns the length of each video that has one, in seconds."""
    wanted = sa.select(videos.c.video_id, videos.c.duration_s).where(videos.c.video_id.in_(set(video_ids)))
    found = await connection.execute(wanted.where(videos.c.duration_s > 0))
    return {row.video_id: row.duration_s for row in found}


def is_about_rows(error: DBAPIError) -> bool:
    """Says whether the database refused the rows themselves, so that sending them again fails again."""
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_ROW_STATES)
    return isinstance(error, DataError | IntegrityError)
