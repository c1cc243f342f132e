"""What the trainer reads: interactions day by day, and the catalogue."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.consent import unpersonalised
from storage.tables import user_interactions, users, videos

# Rows fetched at a time: as Python objects some 1,200 bytes each, 24 MB.
BATCH_ROWS = 20_000

# Columns of an interaction before its times, and after them, in the order of InteractionRow.
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
    # As they lie: few texts are distinct, and whoever wants them parsed need not parse each row's.
    sa.cast(user_interactions.c.experiments, sa.Text),
    sa.cast(user_interactions.c.metadata, sa.Text),
)


# Nothing is learned of who does not want to be known, nor of who is being erased.
_MAY_BE_LEARNED = user_interactions.c.user_id.not_in(unpersonalised())


class InteractionRow(NamedTuple):
    """One interaction, as it is exported, and whether its ids are known.

    Args:
        event_id: Unique id.
        user_id: Who.
        video_id: Which video.
        interaction_type: Name of the type, such as "VIEW".
        watch_time_s: Seconds watched.
        event_time_ms: When, epoch milliseconds, by the clock of the client.
        ingest_time_ms: When it was accepted, epoch milliseconds, by the clock of the service.
        feed_session_id: Session it happened in, or None.
        rating: The user's rating, 0 to 10, or None.
        recommendation_id: Page it was on, or None.
        position: Its place in the feed, from 1, or None.
        algorithm: What chose it, or None.
        model_version: Model that chose it, or None.
        recommendation_score: Score that it was chosen with, or None.
        experiments: Experiments of the page, JSON: a list of objects with `experiment` and `variant`; or None.
        metadata: Anything else that the client told, JSON: an object; or None.
        is_known_user: Whether the user was ever announced.
        is_known_video: Whether the video is in the catalogue.
    """

    event_id: str
    user_id: str
    video_id: str
    interaction_type: str
    watch_time_s: float
    event_time_ms: int
    ingest_time_ms: int
    feed_session_id: str | None
    rating: float | None
    recommendation_id: str | None
    position: int | None
    algorithm: str | None
    model_version: str | None
    recommendation_score: float | None
    experiments: str | None
    metadata: str | None
    is_known_user: bool
    is_known_video: bool


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


def days(connection: sa.Connection, since: date | None = None, until: date | None = None) -> list[DayCount]:
    """Counts the interactions of each UTC day, oldest first.

    Args:
        connection: An open transaction.
        since: First day; None: the oldest.
        until: Last day; None: the newest.
    """
    event_time, day = user_interactions.c.event_time, _day_text(connection)
    since_then = [] if since is None else [event_time >= _start(since)]
    until_then = [] if until is None else [event_time <= _end(until)]
    statement = (
        sa.select(day, sa.func.count(), sa.func.max(user_interactions.c.id))
        .where(*since_then, *until_then, _MAY_BE_LEARNED)
        .group_by(sa.text("1"))
        .order_by(sa.text("1"))
    )
    return [DayCount(date.fromisoformat(text), rows, newest) for text, rows, newest in connection.execute(statement)]


def interactions_of(connection: sa.Connection, day: date) -> Iterator[list[InteractionRow]]:
    """Asks for one UTC day, and streams it in batches; memory stays flat, the database sorts on its disk.

    The order depends on nothing but the rows themselves: user, video, session, type, longest first, time, event. So
    what was told of one view stands together, its longest telling first.
    """
    columns = user_interactions.c
    statement = (
        sa.select(
            *_COLUMNS,
            _epoch_ms(connection, columns.event_time),
            _epoch_ms(connection, columns.ingest_time),
            *_CONTEXT,
            users.c.user_id.is_not(None),
            videos.c.video_id.is_not(None),
        )
        .outerjoin_from(user_interactions, users, users.c.user_id == columns.user_id)
        .outerjoin(videos, videos.c.video_id == columns.video_id)
        .where(columns.event_time >= _start(day), columns.event_time <= _end(day), _MAY_BE_LEARNED)
        .order_by(
            _by_bytes(connection, columns.user_id),
            _by_bytes(connection, columns.video_id),
            _by_bytes(connection, columns.feed_session_id).nulls_first(),
            _by_bytes(connection, columns.interaction_type),
            columns.watch_time_s.desc(),
            columns.event_time,
            _by_bytes(connection, columns.event_id),
        )
    )
    result = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS).execute(statement)
    return ([InteractionRow._make(row) for row in rows] for rows in result.partitions(BATCH_ROWS))


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


def _start(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _end(day: date) -> datetime:
    """Returns the last microsecond of a day, finer than which no time is kept."""
    return datetime.combine(day, time.max, UTC)


def _by_bytes(connection: sa.Connection, text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Orders texts by their bytes, as SQLite does: another locale of the server must not give another file."""
    return text if connection.dialect.name == "sqlite" else sa.collate(text, "C")


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
