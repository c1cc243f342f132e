"""The interactions of users, one row an event."""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.bulk import insert_many
from storage.dialect import among, as_json, postgres_rows
from storage.tables import user_interactions, users, videos

# SQLSTATE classes that speak of the rows and not of the server: data exception, integrity constraint violation.
_ROW_STATES: Final = ("22", "23")
_UNIQUE_VIOLATION: Final = "23505"

_LONGEST_VIEWS: Final = {
    "postgresql": sa.text(
        "SELECT told.place, longest.watch_time_s"  # noqa: S608  # names of our own parameters
        f" FROM {postgres_rows('users', 'videos', 'sessions')}"
        " WITH ORDINALITY AS told (user_id, video_id, session, place)"
        # A sub-select with an aggregate is done for each row: no statistics talk the planner into reading the table.
        " CROSS JOIN LATERAL (SELECT max(watch_time_s) AS watch_time_s FROM user_interactions AS known"
        " WHERE known.user_id = told.user_id AND known.video_id = told.video_id"
        " AND known.feed_session_id = told.session AND known.interaction_type = 'VIEW') AS longest"
        " WHERE longest.watch_time_s IS NOT NULL"
    ),
    "sqlite": sa.text(
        "SELECT told.key + 1 AS place, max(known.watch_time_s) AS watch_time_s"
        " FROM json_each(:views) AS told JOIN user_interactions AS known"
        " ON known.user_id = json_extract(told.value, '$[0]') AND known.video_id = json_extract(told.value, '$[1]')"
        " AND known.feed_session_id = json_extract(told.value, '$[2]') AND known.interaction_type = 'VIEW'"
        " GROUP BY told.key"
    ),
}


ViewT = TypeVar("ViewT", bound=tuple[str, str, str])


class InteractionRow(NamedTuple):
    """A row of `user_interactions`; columns as there, None where nothing is known.

    Args:
        experiments: JSON text.
        metadata: JSON text.
    """

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
    experiments: str | None
    rating: float | None
    metadata: str | None
    served_token: str | None


async def known_ids(connection: AsyncConnection, event_ids: Collection[str]) -> set[str]:
    """Returns which of these events are there.

    Args:
        connection: An open transaction.
        event_ids: Any number.
    """
    column = user_interactions.c.event_id
    return set(await connection.scalars(sa.select(column).where(among(column, event_ids, connection.dialect.name))))


async def insert(connection: AsyncConnection, rows: Sequence[InteractionRow]) -> None:
    """Inserts rows of events that are not there.

    Raises:
        DBAPIError: With `is_taken`, when another writer brought in one of them meanwhile.
    """
    if rows:
        # Sorted, so that two writers of the same events wait for each other in one direction only.
        ordered = sorted(rows, key=itemgetter(0))
        await insert_many(connection, user_interactions.name, InteractionRow._fields, ordered)


async def longest_views_s(connection: AsyncConnection, views: Sequence[ViewT]) -> dict[ViewT, float]:
    """Returns how long each of these views lasted at most, in seconds, as far as there are any.

    Args:
        connection: An open transaction.
        views: User, video and feed session; none twice.
    """
    if not views:
        return {}
    dialect = connection.dialect.name
    if dialect == "postgresql":
        columns = zip(*views, strict=True)
        told = {name: as_json(column) for name, column in zip(("users", "videos", "sessions"), columns, strict=True)}
    else:
        told = {"views": as_json(views)}
    found = await connection.execute(_LONGEST_VIEWS[dialect], told)
    return {views[place - 1]: watch_time_s for place, watch_time_s in found.all()}


async def places(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Returns the country and the locale of each user who has one of them; the other may be empty."""
    wanted = sa.select(users.c.user_id, users.c.country, users.c.locale).where(
        among(users.c.user_id, user_ids, connection.dialect.name)
    )
    found = await connection.execute(wanted.where(sa.or_(users.c.country != "", users.c.locale != "")))
    # All at once and by position: row by row and by name takes three times as long.
    return {user_id: (country, locale) for user_id, country, locale in found.all()}


async def durations_s(connection: AsyncConnection, video_ids: Collection[str]) -> dict[str, float]:
    """Returns the length of each video that has one, in seconds."""
    wanted = sa.select(videos.c.video_id, videos.c.duration_s)
    wanted = wanted.where(among(videos.c.video_id, video_ids, connection.dialect.name))
    found = await connection.execute(wanted.where(videos.c.duration_s > 0))
    return dict(found.all())


def is_taken(error: DBAPIError) -> bool:
    """Says whether a row was refused because one of its key is there."""
    if getattr(error.orig, "sqlstate", None) == _UNIQUE_VIOLATION:
        return True
    return isinstance(error.orig, sqlite3.IntegrityError) and "UNIQUE" in str(error.orig)


def is_about_rows(error: DBAPIError) -> bool:
    """Says whether the database refused the rows themselves, so that sending them again fails again."""
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_ROW_STATES)
    # asyncpg's own refusal of a value is a ValueError too.
    refusals = (sqlite3.IntegrityError, sqlite3.DataError, TypeError, ValueError, OverflowError)
    return isinstance(error, DataError | IntegrityError) or isinstance(error.orig, refusals)
