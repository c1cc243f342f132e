"""The ledger of outcomes: one row a served video, what its rows add up to, and what waits for its page.

Whoever changes it holds its lock, so that totals and rows are changed by one at a time.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import log_offsets
from storage.dialect import among, as_json, insert, json_length, utc_day
from storage.tables import (
    feed_cache,
    outcome_countries,
    outcome_days,
    outcome_positions,
    outcome_totals,
    outcome_verdicts,
    outcome_waiting,
    prediction_outcomes,
    recommendation_decisions,
    user_interactions,
    users,
    videos,
)

# Under this name it is kept how far the tables were taken in.
READER: Final = "insights"
# Any number that no other lock of this database has.
_LOCK: Final = 0x6F757463

# What totals are told apart by.
_KIND: Final = (*outcome_days.primary_key.columns.keys(), "position", "country")
# What is added up beside them, each by some of their columns.
_ROLLUPS: Final = {
    table: tuple(table.primary_key.columns.keys()) for table in (outcome_days, outcome_positions, outcome_countries)
}
_EXPERIMENTS_CHARS: Final = 400
# The first position of each range: a page's head one by one, then what is seen less and less.
POSITIONS: Final = (1, 2, 3, 4, 6, 11, 21, 51)

# As the index is declared, so that it is used.
_IS_NEW: Final = sa.text("is_new")

_ENTRIES: Final = {
    "postgresql": sa.text(
        "SELECT told.place, found.*"
        " FROM json_array_elements(CAST(:pairs AS json)) WITH ORDINALITY AS told (pair, place)"
        # A sub-select with a limit is done for each pair: no statistics talk the planner into reading the tables.
        " CROSS JOIN LATERAL (SELECT entry.recommendation_id, entry.position, decision.user_id, entry.group_id,"
        " entry.created_at, entry.confidence, entry.user_action, entry.actions, entry.watch_time_s, entry.rating,"
        " entry.rated_at FROM recommendation_decisions AS decision"
        " JOIN prediction_outcomes AS entry USING (recommendation_id, position)"
        " WHERE decision.recommendation_id = told.pair ->> 0 AND decision.video_id || '' = told.pair ->> 1"
        " ORDER BY entry.position LIMIT 1) AS found"
    ),
    "sqlite": sa.text(
        "SELECT told.key + 1 AS place, entry.recommendation_id, min(entry.position) AS position, decision.user_id,"
        " entry.group_id, entry.created_at, entry.confidence, entry.user_action, entry.actions, entry.watch_time_s,"
        " entry.rating, entry.rated_at FROM json_each(:pairs) AS told"
        " CROSS JOIN recommendation_decisions AS decision"
        " ON decision.recommendation_id = json_extract(told.value, '$[0]')"
        # A page has some videos, a video may be on very many pages: not by the index of those.
        " AND decision.video_id || '' = json_extract(told.value, '$[1]')"
        " JOIN prediction_outcomes AS entry USING (recommendation_id, position) GROUP BY told.key"
    ),
}


class DoneRow(NamedTuple):
    """An interaction that may say what it followed; columns of `user_interactions`, and the length of the video."""

    user_id: str
    video_id: str
    interaction_type: str
    watch_time_s: float
    event_time: datetime
    feed_session_id: str | None
    recommendation_id: str | None
    rating: float | None
    served_token: str | None
    duration_s: float | None


class EntryRow(NamedTuple):
    """A row of `prediction_outcomes`, with the user it was served to."""

    recommendation_id: str
    position: int
    user_id: str
    group_id: int
    created_at: datetime
    confidence: float
    user_action: str
    actions: int
    watch_time_s: float
    rating: float | None
    rated_at: datetime | None


class WaitingRow(NamedTuple):
    """A row of `outcome_waiting`; columns as there."""

    user_id: str
    video_id: str
    recommendation_id: str
    feed_session_id: str
    served_token: str
    actions: int
    rating: float | None
    rated_at: datetime | None
    watch_time_s: float
    happened_at: datetime
    arrived_at: datetime
    is_new: bool


async def lock(connection: AsyncConnection) -> None:
    """Waits until nobody else changes the ledger; it is ours until the transaction ends."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


async def progress(connection: AsyncConnection, table: sa.Table) -> int | None:
    """Returns up to which row a table was taken in; None when the ledger has not begun."""
    return (await log_offsets.load(connection, READER, table.name)).get(0)


async def set_progress(connection: AsyncConnection, table: sa.Table, row: int) -> None:
    """Says up to which row a table is taken in; belongs into the transaction that does it."""
    await log_offsets.save(connection, READER, table.name, {0: row})


async def end_of(connection: AsyncConnection, table: sa.Table, after: int, until: int, limit: int) -> int:
    """Returns the number of the last of the next rows.

    Args:
        connection: An open transaction.
        table: A table with an `id` that grows.
        after: The rows that come after this one.
        until: And not after this one.
        limit: Most rows.
    """
    wanted = sa.select(table.c.id).where(table.c.id > after, table.c.id <= until).order_by(table.c.id)
    return await connection.scalar(wanted.offset(limit - 1).limit(1)) or until


async def open_pages(connection: AsyncConnection, after: int, until: int) -> int:
    """Puts every video of some pages on the ledger, as pending, and counts them; returns how many have no decision.

    Args:
        connection: An open transaction.
        after: Pages of `feed_cache` that come after this row.
        until: And not after this one.
    """
    served = _served(after, until, connection.dialect.name)
    await _count_served(connection, served)
    names = ("recommendation_id", "position", "created_at", "confidence", "group_id", "user_action", "actions")
    same = sa.and_(*(served.c[name] == outcome_totals.c[name] for name in _KIND))
    rows = sa.select(
        served.c.recommendation_id,
        served.c.place,
        served.c.created_at,
        served.c.confidence,
        outcome_totals.c.group_id,
        sa.literal("pending"),
        sa.literal(0),
        sa.literal(0.0),
    ).select_from(served.join(outcome_totals, same))
    opening = insert(prediction_outcomes, connection.dialect.name).from_select((*names, "watch_time_s"), rows)
    opened = (await connection.execute(opening)).rowcount
    pages = feed_cache.c
    counted = sa.select(sa.func.coalesce(sa.func.sum(json_length(pages.video_ids, connection.dialect.name)), 0))
    videos = await connection.scalar(counted.where(pages.id > after, pages.id <= until))
    return (videos or 0) - opened


async def done_between(connection: AsyncConnection, after: int, until: int) -> list[DoneRow]:
    """Returns the interactions that come after one row, and not after another."""
    row = user_interactions.c
    wanted = (
        sa.select(*(row[name] for name in DoneRow._fields[:-1]), videos.c.duration_s)
        .select_from(user_interactions.outerjoin(videos, videos.c.video_id == row.video_id))
        .where(row.id > after, row.id <= until)
    )
    found: Sequence[Any] = (await connection.execute(wanted)).all()
    return [DoneRow._make(each) for each in found]


async def take_waiting(connection: AsyncConnection, after: int, until: int) -> list[WaitingRow]:
    """Takes out what waits for some pages of `feed_cache`, or for others of their sessions."""
    pages = sa.select(feed_cache.c.recommendation_id).where(feed_cache.c.id > after, feed_cache.c.id <= until)
    sessions = sa.select(feed_cache.c.feed_session_id).where(feed_cache.c.id > after, feed_cache.c.id <= until)
    row = outcome_waiting.c
    return await _take(connection, row.recommendation_id.in_(pages) | row.feed_session_id.in_(sessions))


async def has_new(connection: AsyncConnection) -> bool:
    """Says whether anything waits that was not looked at yet."""
    return await connection.scalar(sa.select(outcome_waiting.c.id).where(_IS_NEW).limit(1)) is not None


async def take_new(connection: AsyncConnection, limit: int) -> list[WaitingRow]:
    """Takes out what was not looked at yet, the oldest first; so many rows at most."""
    oldest = sa.select(outcome_waiting.c.id).where(_IS_NEW).order_by(outcome_waiting.c.id).limit(limit)
    return await _take(connection, outcome_waiting.c.id.in_(oldest))


async def put_waiting(connection: AsyncConnection, rows: Sequence[WaitingRow]) -> None:
    """Lets something wait: for its page, or to be looked at."""
    if rows:
        await connection.execute(sa.insert(outcome_waiting), [row._asdict() for row in rows])


async def is_waiting(connection: AsyncConnection, row: WaitingRow) -> bool:
    """Says whether the same was said before, and waits."""
    names = ("user_id", "video_id", "recommendation_id", "actions", "rating")
    same = (outcome_waiting.c[name].is_not_distinct_from(getattr(row, name)) for name in names)
    return await connection.scalar(sa.select(sa.literal(1)).select_from(outcome_waiting).where(*same).limit(1)) == 1


async def drop_waiting(connection: AsyncConnection, until: datetime) -> int:
    """Deletes what has waited for its page since this time or longer; returns how much that was."""
    late = sa.delete(outcome_waiting).where(outcome_waiting.c.arrived_at <= until, ~outcome_waiting.c.is_new)
    return (await connection.execute(late)).rowcount


async def pages_of_sessions(connection: AsyncConnection, session_ids: Collection[str]) -> dict[str, list[str]]:
    """Returns the pages of each session, the newest first, as far as the cache has them."""
    if not session_ids:
        return {}
    page = feed_cache.c
    wanted = sa.select(page.feed_session_id, page.recommendation_id).where(
        among(page.feed_session_id, session_ids, connection.dialect.name)
    )
    pages: dict[str, list[str]] = {}
    for session_id, recommendation_id in await connection.execute(wanted.order_by(page.created_at.desc(), page.id)):
        pages.setdefault(session_id, []).append(recommendation_id)
    return pages


async def known_pages(connection: AsyncConnection, recommendation_ids: Collection[str]) -> set[str]:
    """Returns which of these pages are on the ledger, with any video."""
    if not recommendation_ids:
        return set()
    column = prediction_outcomes.c.recommendation_id
    wanted = sa.select(column).distinct().where(among(column, recommendation_ids, connection.dialect.name))
    return set(await connection.scalars(wanted))


async def entries(connection: AsyncConnection, pairs: Sequence[tuple[str, str]]) -> list[tuple[int, EntryRow]]:
    """Returns the rows of served videos, each with the place of its pair, from 0.

    Args:
        connection: An open transaction.
        pairs: A page and a video each.
    """
    if not pairs:
        return []
    entry = prediction_outcomes.c
    wanted = _ENTRIES[connection.dialect.name].columns(created_at=entry.created_at.type, rated_at=entry.rated_at.type)
    found: Any = await connection.execute(wanted, {"pairs": as_json(pairs)})
    names = EntryRow._fields
    return [(row["place"] - 1, EntryRow(*(row[name] for name in names))) for row in found.mappings()]


async def update_entries(connection: AsyncConnection, rows: Sequence[Mapping[str, object]]) -> None:
    """Overwrites rows.

    Args:
        connection: An open transaction.
        rows: Columns by name, all of them the same ones; the key is `of_page` and `of_position`.
    """
    if rows:
        entry = prediction_outcomes.c
        same = (entry.recommendation_id == sa.bindparam("of_page")) & (entry.position == sa.bindparam("of_position"))
        await connection.execute(sa.update(prediction_outcomes).where(same), rows)


async def close_pending(
    connection: AsyncConnection, served_until: datetime, limit: int, values: Mapping[str, object]
) -> list[tuple[int, float]]:
    """Overwrites rows that are still pending; returns the group and the confidence of each.

    Args:
        connection: An open transaction.
        served_until: Those that were served at this time or earlier, the oldest first.
        limit: Most rows.
        values: Columns by name; `confidence_match` is what a failure says.
    """
    row = prediction_outcomes.c
    due = (
        sa.select(row.recommendation_id, row.position)
        .where(row.user_action == sa.literal_column("'pending'"), row.created_at <= served_until)
        .order_by(row.created_at)
        .limit(limit)
    )
    closing = (
        sa.update(prediction_outcomes)
        .where(sa.tuple_(row.recommendation_id, row.position).in_(due))
        .values({**values, "confidence_match": 1.0 - row.confidence})
        .returning(row.group_id, row.confidence)
    )
    return [(group_id, confidence) for group_id, confidence in await connection.execute(closing)]


async def add_totals(connection: AsyncConnection, added: Mapping[int, Mapping[str, int]]) -> None:
    """Adds to the totals, by group and column, and to all that is added up beside them."""
    names = sorted({name for counts in added.values() for name, count in counts.items() if count})
    if not names:
        return
    group = outcome_totals.c.group_id == sa.bindparam("of_group")
    sums = {name: outcome_totals.c[name] + sa.bindparam(f"more_{name}") for name in names}
    rows = [
        {"of_group": group_id, **{f"more_{name}": counts.get(name, 0) for name in names}}
        for group_id, counts in sorted(added.items())
    ]
    await connection.execute(sa.update(outcome_totals).where(group).values(sums), rows)
    kinds = await _kinds(connection, added)
    for table, key in _ROLLUPS.items():
        await _add(connection, table, key, [(kinds[group_id], counts) for group_id, counts in added.items()], names)


async def add_verdicts(connection: AsyncConnection, added: Mapping[str, int]) -> None:
    """Adds to the verdicts."""
    rows = [{"verdict": verdict, "count": count} for verdict, count in sorted(added.items()) if count]
    if rows:
        adding = insert(outcome_verdicts, connection.dialect.name)
        total = outcome_verdicts.c["count"] + adding.excluded["count"]
        await connection.execute(adding.on_conflict_do_update(index_elements=["verdict"], set_={"count": total}), rows)


async def _take(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> list[WaitingRow]:
    columns = (outcome_waiting.c[name] for name in WaitingRow._fields)
    found: Any = await connection.execute(sa.delete(outcome_waiting).where(which).returning(*columns))
    return [WaitingRow._make(each) for each in found]


async def _count_served(connection: AsyncConnection, served: sa.Subquery) -> None:
    """Adds what was served to all sums, with a new row for each kind that they do not have."""
    kind, count = [served.c[name] for name in _KIND], sa.func.count()
    pages = sa.func.count(served.c.recommendation_id.distinct())
    # The first video of a page stands for it where nothing tells its videos apart.
    begun = count.filter(served.c.confidence == 1.0)
    found: Any = await connection.execute(sa.select(*kind, count, pages, begun).group_by(*kind))
    rows = [(dict(zip(_KIND, each, strict=False)), *each[len(_KIND) :]) for each in found]
    for table, key in {outcome_totals: _KIND, **_ROLLUPS}.items():
        of_page = "position" not in key
        added = [
            (values, {"served": videos, "pending": videos, "pages": begun if of_page else pages})
            for values, videos, pages, begun in rows
        ]
        await _add(connection, table, key, added, ("pages", "pending", "served"))


async def _kinds(connection: AsyncConnection, group_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    group = outcome_totals.c
    wanted = sa.select(group.group_id, *(group[name] for name in _KIND)).where(group.group_id.in_(group_ids))
    return {row["group_id"]: dict(row) for row in (await connection.execute(wanted)).mappings()}


async def _add(
    connection: AsyncConnection,
    table: sa.Table,
    key: Sequence[str],
    added: Sequence[tuple[Mapping[str, Any], Mapping[str, int]]],
    names: Sequence[str],
) -> None:
    """Adds to a table of sums, of each kind what all of its parts come to.

    Args:
        connection: An open transaction.
        table: The table.
        key: What its rows are told apart by.
        added: Kinds, told apart by more than that, and what is added to each.
        names: The columns that are added to.
    """
    sums: dict[tuple[Any, ...], Counter[str]] = {}
    for kind, counts in added:
        sums.setdefault(tuple(kind[name] for name in key), Counter()).update(counts)
    rows = [
        dict(zip(key, values, strict=True)) | {name: counts[name] for name in names}
        for values, counts in sorted(sums.items(), key=itemgetter(0))
    ]
    if rows:
        adding = insert(table, connection.dialect.name)
        totals = {name: table.c[name] + adding.excluded[name] for name in names}
        await connection.execute(adding.on_conflict_do_update(index_elements=list(key), set_=totals), rows)


def _served(after: int, until: int, dialect_name: str) -> sa.Subquery:
    """Selects the videos of some pages with the kind that they count in."""
    decision = recommendation_decisions.c
    experiments = sa.func.coalesce(sa.cast(decision.experiments, sa.Text), "")
    place = sa.func.cume_dist().over(partition_by=decision.recommendation_id, order_by=decision.position.desc())
    return (
        sa.select(
            decision.recommendation_id,
            decision.position.label("place"),
            decision.created_at,
            place.label("confidence"),
            utc_day(decision.created_at, dialect_name).label("day"),
            decision.algorithm,
            decision.source_type.label("source"),
            sa.func.coalesce(decision.fallback_reason, "").label("fallback_reason"),
            sa.func.coalesce(decision.model_version, "").label("model_version"),
            sa.func.substr(experiments, 1, _EXPERIMENTS_CHARS).label("experiments"),
            _range_of(decision.position).label("position"),
            sa.func.coalesce(users.c.country, "").label("country"),
        )
        .select_from(
            feed_cache.join(
                recommendation_decisions, feed_cache.c.recommendation_id == decision.recommendation_id
            ).outerjoin(users, users.c.user_id == decision.user_id)
        )
        .where(feed_cache.c.id > after, feed_cache.c.id <= until)
        .subquery()
    )


def _range_of(position: sa.Column[int]) -> sa.ColumnElement[int]:
    return sa.case(*((position >= first, first) for first in reversed(POSITIONS)), else_=POSITIONS[0])
