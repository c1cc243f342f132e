"""What a user has seen and been sent, as one text: 10,000 rows would take a server longer than the page has."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from storage.dialect import among
from storage.quick_select import QuickSelect, parameter
from storage.tables import feed_cache, user_interactions

# Most rows read of a user.
_INTERACTIONS: Final = 20_000
_PAGES: Final = 100

# What is stored later than it happened counts as newer than a time, if it came no earlier than this before it and
# happened no earlier than that: it is too late for what was made of the rows at that time.
_STORED_WITHIN: Final = timedelta(hours=1)
_HAPPENED_WITHIN: Final = timedelta(days=1)


_PAGE: Final = sa.select(feed_cache.c.id, feed_cache.c.user_id, sa.cast(feed_cache.c.video_ids, sa.Text)).order_by(
    feed_cache.c.id
)


# Names of interactions' types, rule by rule.
_Types: TypeAlias = tuple[tuple[str, ...], ...]


class Window(NamedTuple):
    """Which interactions count.

    Args:
        interaction_types: Names of their types.
        since: Later ones count.
    """

    interaction_types: Collection[str]
    since: datetime


class PageRow(NamedTuple):
    """A served page.

    Args:
        row: Number of its row; grows.
        user_id: To whom.
        video_ids: A JSON array.
    """

    row: int
    user_id: str
    video_ids: str


async def newer(
    database: Database, user_id: str, windows: Sequence[Window], since: datetime, served_since: datetime | None
) -> tuple[str, list[str]]:
    """Returns the videos a user met since a time, parted by line feeds, and the pages served, each a JSON array.

    Args:
        database: The pool.
        user_id: The user.
        windows: Which interactions count.
        since: What came later.
        served_since: Pages served later; None: no pages.
    """
    wanted = _newer(_types(windows), with_pages=served_since is not None)
    times = {"time": since, "happened": since - _HAPPENED_WITHIN, "stored": since - _STORED_WITHIN}
    given = {"user_id": user_id, "served_since": served_since, **times, **_starts(windows)}
    ((video_ids, served),) = await wanted.rows(database, given)
    return video_ids or "", served.split("\n") if served else []


async def older(
    database: Database, user_id: str, windows: Sequence[Window], until: datetime, parted_at: datetime
) -> tuple[str, str]:
    """Returns the videos a user met until a time, parted by line feeds: those before another time, and those since.

    Args:
        database: The pool.
        user_id: The user.
        windows: Which interactions count.
        until: What came no later.
        parted_at: The other time.
    """
    times = {"time": parted_at, "happened": parted_at - _HAPPENED_WITHIN, "stored": parted_at - _STORED_WITHIN}
    given = {"user_id": user_id, "until": until, **times, **_starts(windows)}
    ((before, after),) = await _older(_types(windows)).rows(database, given)
    return before or "", after or ""


async def newest_page(connection: AsyncConnection) -> int:
    """Returns the number of the newest row of served pages; 0 when there is none."""
    return await connection.scalar(sa.select(sa.func.max(feed_cache.c.id))) or 0


async def pages_after(connection: AsyncConnection, row: int, limit: int) -> list[PageRow]:
    """Returns the served pages with a higher number than this, oldest first.

    Args:
        connection: An open transaction.
        row: Number of the last row known.
        limit: Most rows.
    """
    return await _pages(connection, _PAGE.where(feed_cache.c.id > row).limit(limit))


async def pages_of(connection: AsyncConnection, numbers: Sequence[int]) -> list[PageRow]:
    """Returns those of the served pages with these numbers that are there, oldest first."""
    return await _pages(connection, _PAGE.where(among(feed_cache.c.id, numbers, connection.dialect.name)))


async def _pages(connection: AsyncConnection, wanted: sa.Select[Any]) -> list[PageRow]:
    found: Sequence[Any] = (await connection.execute(wanted)).all()
    return [PageRow._make(each) for each in found]


def _types(windows: Sequence[Window]) -> _Types:
    return tuple(tuple(window.interaction_types) for window in windows)


def _starts(windows: Sequence[Window]) -> dict[str, datetime]:
    starts = {f"rule_{place}_since": window.since for place, window in enumerate(windows)}
    # The index needs one that holds for all of them.
    return {**starts, "earliest": min(starts.values())} if starts else {}


# The statements are made once: that takes as long as a small one runs.
@cache
def _newer(types: _Types, *, with_pages: bool) -> QuickSelect:
    met = _newest(types).where(_later()).subquery()
    served: sa.ColumnElement[Any] = sa.null()
    if with_pages:
        pages = _newest_pages().subquery()
        served = sa.select(sa.func.aggregate_strings(pages.c.video_ids, "\n")).scalar_subquery()
    met_ids = sa.select(sa.func.aggregate_strings(met.c.video_id, "\n")).scalar_subquery()
    return QuickSelect(sa.select(met_ids, served))


@cache
def _older(types: _Types) -> QuickSelect:
    since = sa.case((_later(), 1), else_=0).label("since")
    met = _newest(types, since).where(user_interactions.c.event_time <= parameter("until")).subquery()
    video_ids = sa.func.aggregate_strings(met.c.video_id, "\n")
    parts: list[sa.ColumnElement[Any]] = [video_ids.filter(met.c.since == part) for part in (0, 1)]
    return QuickSelect(sa.select(*parts))


def _newest(types: _Types, *more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    columns = user_interactions.c
    counts = [
        columns.interaction_type.in_(names) & (columns.event_time > parameter(f"rule_{place}_since"))
        for place, names in enumerate(types)
    ]
    earliest = [columns.event_time > parameter("earliest")] if types else []
    return (
        sa.select(columns.video_id, *more)
        .where(columns.user_id == parameter("user_id"), *earliest, sa.or_(sa.false(), *counts))
        .order_by(columns.event_time.desc())
        .limit(_INTERACTIONS)
    )


def _later() -> sa.ColumnElement[bool]:
    columns = user_interactions.c
    stored_later = columns.ingest_time > parameter("stored")
    return (columns.event_time > parameter("happened")) & ((columns.event_time > parameter("time")) | stored_later)


def _newest_pages() -> sa.Select[Any]:
    columns = feed_cache.c
    return (
        sa.select(sa.cast(columns.video_ids, sa.Text).label("video_ids"))
        .where(columns.user_id == parameter("user_id"), columns.created_at > parameter("served_since"))
        .order_by(columns.created_at.desc())
        .limit(_PAGES)
    )
