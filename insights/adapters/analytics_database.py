"""What is to be told to product analytics, out of the tables; how far it was told is kept there, too."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from insights.adapters.database import WRITING, bounded, reading
from insights.domain.analytics import CONSUMING, AnalyticsEvent, Destination, EventName, experiments_of
from insights.ports import Untold
from storage import analytics, ledger, log_offsets
from storage.analytics import ConsumedRow, ServedRow
from storage.database import Database
from storage.settled import Settled
from storage.tables import feed_cache, user_interactions

_ROWS: Final = 500
# What users do may be there before its page, which is a second or two behind; what is told of it must be whole.
PATIENCE: Final = timedelta(seconds=5)
_TIMEOUT_S: Final = WRITING.statement_timeout_s


@dataclass(frozen=True, slots=True)
class _Source:
    table: sa.Table
    settled: Settled


class DatabaseAnalytics:
    """The port `AnalyticsLog` on the database.

    Args:
        database: A pool, open as long as this is used.
        destination: Who is told; under this name it is kept how far.
        now: The wall time.
    """

    def __init__(self, database: Database, destination: Destination, now: Callable[[], datetime]) -> None:
        self._database = database
        self._reader = destination.value
        self._now = now
        self._sources = {
            EventName.SERVED: _Source(feed_cache, Settled(feed_cache)),
            EventName.CONSUMED: _Source(user_interactions, Settled(user_interactions)),
        }

    async def untold(self, name: EventName) -> Untold | None:
        """Returns the next events; None when there are none. The first time it begins with what comes from then on."""
        source = self._sources[name]
        async with reading(self._database, _TIMEOUT_S) as connection:
            newest = await source.settled.newest_row(connection)
            after = (await log_offsets.load(connection, self._reader, source.table.name)).get(0)
            if after is not None and newest > after:
                until = await ledger.end_of(connection, source.table, after, newest, _ROWS)
                if name is EventName.CONSUMED:
                    until = await analytics.taken_until(connection, after, until, self._now() - PATIENCE)
                if until > after:
                    return Untold(await events_between(connection, name, after, until), until)
        if after is None:
            await self.told(name, newest)
        return None

    async def told(self, name: EventName, until: int) -> None:
        """Says that everything up to a row was told."""
        async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
            await log_offsets.save(connection, self._reader, self._sources[name].table.name, {0: until})


async def events_between(
    connection: AsyncConnection, name: EventName, after: int, until: int
) -> Sequence[AnalyticsEvent]:
    """Returns the events of the rows that come after one row, and not after another."""
    return await _EVENTS[name](connection, after, until)


async def _served(connection: AsyncConnection, after: int, until: int) -> list[AnalyticsEvent]:
    return [event_of_page(row) for row in await analytics.served_between(connection, after, until)]


async def _consumed(connection: AsyncConnection, after: int, until: int) -> list[AnalyticsEvent]:
    return [event_of_deed(row) for row in await analytics.consumed_between(connection, after, until, CONSUMING)]


_Read: TypeAlias = Callable[[AsyncConnection, int, int], Awaitable[Sequence[AnalyticsEvent]]]
_EVENTS: Final[Mapping[EventName, _Read]] = {EventName.SERVED: _served, EventName.CONSUMED: _consumed}


def event_of_page(row: ServedRow) -> AnalyticsEvent:
    """Returns what is told of a served page."""
    positions = range(row.first_position, row.first_position + len(row.video_ids))
    return AnalyticsEvent(
        EventName.SERVED,
        row.recommendation_id,
        row.user_id,
        row.created_at,
        {
            "recommendation_id": row.recommendation_id,
            "feed_session_id": row.feed_session_id,
            "algorithm": row.algorithm,
            "source": row.source,
            "fallback_reason": row.fallback_reason,
            "model_version": row.model_version or "",
            "experiments": experiments_of(row.experiments),
            "video_ids": list(row.video_ids),
            "positions": list(positions),
        },
    )


def event_of_deed(row: ConsumedRow) -> AnalyticsEvent:
    """Returns what is told of an interaction with a served video."""
    return AnalyticsEvent(
        EventName.CONSUMED,
        row.event_id,
        row.user_id,
        row.event_time,
        {
            "recommendation_id": row.recommendation_id,
            "feed_session_id": row.feed_session_id or "",
            "video_id": row.video_id,
            "position": row.position,
            "interaction_type": row.interaction_type,
            "watch_time_s": row.watch_time_s,
            "algorithm": row.algorithm or "",
            "source": row.source or "",
            "fallback_reason": row.fallback_reason or "",
            "model_version": row.model_version or "",
            "experiments": experiments_of(row.experiments),
        },
    )
