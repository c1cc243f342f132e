"""What the trainer reads: interactions day by day, and the catalogue."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.tables import user_interactions, videos

# Rows fetched at a time: 20,000 rows of 200 bytes are 4 MB.
BATCH_ROWS = 20_000

# Columns of an interaction before its time, and after it, in the order of InteractionRow.
_COLUMNS = (
    user_interactions.c.event_id,
    user_interactions.c.user_id,
    user_interactions.c.video_id,
    user_interactions.c.interaction_type,
    user_interactions.c.watch_time_s,
)
_CONTEXT = (
    user_interactions.c.feed_session_id,
    user_interactions.c.rating,
    user_interactions.c.recommendation_id,
    user_interactions.c.position,
    user_interactions.c.algorithm,
    user_interactions.c.model_version,
    user_interactions.c.recommendation_score,
    user_interactions.c.experiments,
    user_interactions.c.metadata,
)


class InteractionRow(NamedTuple):
    """One interaction, as it is exported.

    Args:
        event_id: Unique id.
        user_id: Who.
        video_id: Which video.
        interaction_type: Name of the type, such as "VIEW".
        watch_time_s: Seconds watched.
        event_time_ms: When, epoch milliseconds.
        feed_session_id: Session it happened in, or None.
        rating: The user's rating, 0 to 10, or None.
        recommendation_id: Page it was on, or None.
        position: Its place in the feed, from 1, or None.
        algorithm: What chose it, or None.
        model_version: Model that chose it, or None.
        recommendation_score: Score that it was chosen with, or None.
        experiments: Experiments of the page, each with the names `experiment` and `variant`, or None.
        metadata: Anything else that the client told, or None.
    """

    event_id: str
    user_id: str
    video_id: str
    interaction_type: str
    watch_time_s: float
    event_time_ms: int
    feed_session_id: str | None
    rating: float | None
    recommendation_id: str | None = None
    position: int | None = None
    algorithm: str | None = None
    model_version: str | None = None
    recommendation_score: float | None = None
    experiments: Sequence[Mapping[str, str]] | None = None
    metadata: Mapping[str, str] | None = None


class DayCount(NamedTuple):
    """How much one UTC day holds; another count or newest row means that the day has changed."""

    day: date
    rows: int
    newest_row: int


class VideoRow(NamedTuple):
    """One video of the catalogue, as ranking filters by it; times in epoch milliseconds."""

    video_id: str
    author_id: str
    duration_s: float | None
    tags: Sequence[str]
    language: str
    published_ms: int | None
    is_active: bool
    country: str


def days(connection: sa.Connection) -> list[DayCount]:
    """Counts the interactions of each UTC day, oldest first."""
    day = _day_text(connection)
    statement = (
        sa.select(day, sa.func.count(), sa.func.max(user_interactions.c.id))
        .group_by(sa.text("1"))
        .order_by(sa.text("1"))
    )
    return [DayCount(date.fromisoformat(text), rows, newest) for text, rows, newest in connection.execute(statement)]


def interactions_of(connection: sa.Connection, day: date) -> Iterator[list[InteractionRow]]:
    """Streams one UTC day in the order of time, in batches; memory stays flat."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    time = user_interactions.c.event_time
    statement = (
        sa.select(*_COLUMNS, _epoch_ms(connection, time), *_CONTEXT)
        .where(time >= start, time < start + timedelta(days=1))
        .order_by(time, user_interactions.c.event_id)
    )
    result = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS).execute(statement)
    for rows in result.partitions(BATCH_ROWS):
        yield [InteractionRow._make(row) for row in rows]


def catalogue(connection: sa.Connection) -> list[VideoRow]:
    """Reads every video, active or not."""
    statement = sa.select(
        videos.c.video_id,
        videos.c.author_id,
        videos.c.duration_s,
        videos.c.tags,
        videos.c.language,
        _epoch_ms(connection, videos.c.published_at),
        videos.c.is_active,
        videos.c.country,
    ).order_by(videos.c.video_id)
    return [VideoRow._make(row) for row in connection.execute(statement)]


def _day_text(connection: sa.Connection) -> sa.ColumnElement[str]:
    time = user_interactions.c.event_time
    if connection.dialect.name == "sqlite":
        return sa.func.substr(sa.type_coerce(time, sa.String), 1, 10)
    return sa.func.to_char(sa.func.timezone("UTC", time), "YYYY-MM-DD")


def _epoch_ms(connection: sa.Connection, time: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Epoch milliseconds in SQL: twice as fast as a datetime for each row."""
    if connection.dialect.name == "sqlite":
        text = sa.type_coerce(time, sa.String)
        seconds = sa.cast(sa.func.strftime("%s", text), sa.BigInteger)
        return seconds * 1000 + sa.cast(sa.func.substr(text, 21, 3), sa.BigInteger)
    return sa.cast(sa.func.floor(sa.func.extract("epoch", time) * 1000), sa.BigInteger)
