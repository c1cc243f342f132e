"""The store in the database: events, trending weights and log offsets in one transaction."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.ports import Offsets, Partition
from eventlog.topics import INTERACTIONS
from interactions.domain.trend import View, Watched, added_weight, hour_of, view_of
from interactions.sink.ports import RowsRefusedError, StoredEvent, StoreUnavailableError
from storage import interactions, log_offsets, trending
from storage.database import Database
from storage.dialect import set_for_transaction
from storage.interactions import InteractionRow
from storage.trending import TrendingBucket, segments_of

# Another sink wrote some of the same events meanwhile: from then on they are known.
_ATTEMPTS: Final = 5
# A database that hangs sends no error.
_TIMEOUT_S: Final = 30.0
_SETTINGS: Final = {
    # A sink that hangs in its transaction must not hold up the others, who wait for its rows.
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
    # A plan kept from when the table was small takes any index, and then 2 ms an event once it has grown (measured).
    "plan_cache_mode": "force_custom_plan",
}


class DatabaseStore:
    """Writes into the feed's database.

    Two stores may write the same events at a time, when a partition moves from one sink to another: one waits for the
    other at the first such event (`event_id` is unique), and then finds them known.

    Args:
        database: Open as long as the store is used.
        group: Name of the readers whose offsets these are.
    """

    def __init__(self, database: Database, group: str) -> None:
        self._database = database
        self._group = group

    async def load_offsets(self, partitions: Collection[Partition]) -> Offsets:
        """Returns where the last transaction on each partition left off."""
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._database.read() as connection:
                found = await log_offsets.load(connection, self._group, INTERACTIONS)
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable(error) from error
        offsets = {Partition(INTERACTIONS, partition): offset for partition, offset in found.items()}
        return {partition: offset for partition, offset in offsets.items() if partition in partitions}

    async def write(self, events: Sequence[StoredEvent], offsets: Offsets) -> int:
        """Writes all of it or nothing."""
        # An event that came twice counts once, as its first copy.
        once = list({each.key: each for each in reversed(events)}.values())[::-1]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    return await self._write(once, offsets)
            except DBAPIError as error:
                if interactions.is_taken(error) and attempt < _ATTEMPTS:
                    continue
                if interactions.is_about_rows(error) and not interactions.is_taken(error):
                    raise RowsRefusedError(str(error.orig)) from error
                raise _unavailable(error) from error
            except (SQLAlchemyError, OSError) as error:
                raise _unavailable(error) from error
        raise AssertionError  # every attempt returns, raises or goes on to the next

    async def _write(self, events: Sequence[StoredEvent], offsets: Offsets) -> int:
        async with self._database.begin() as connection:
            await set_for_transaction(connection, _SETTINGS)
            new = await _new(connection, events)
            buckets = list(await _buckets(connection, new))
            await interactions.insert(connection, [row_of(each) for each in new])
            await trending.add(connection, buckets)
            next_offsets = {partition: offset for (_, partition), offset in offsets.items()}
            await log_offsets.save(connection, self._group, INTERACTIONS, next_offsets)
        return len(new)


async def _new(connection: AsyncConnection, events: Sequence[StoredEvent]) -> list[StoredEvent]:
    if not events:
        return []
    known = await interactions.known_ids(connection, [each.key for each in events])
    return [each for each in events if each.key not in known]


async def _buckets(connection: AsyncConnection, new: Sequence[StoredEvent]) -> Iterator[TrendingBucket]:
    """Yields what new events add to trending, in the order in which they came."""
    if not new:
        return iter(())
    views = [_view(each) for each in new]
    watched = Watched(await interactions.longest_views_s(connection, list({view for view in views if view})))
    countries = await interactions.countries(connection, {each.event.user_id for each in new})
    durations_s = await interactions.durations_s(connection, {each.event.video_id for each in new})

    def made() -> Iterator[TrendingBucket]:
        for (_, event, time, _), view in zip(new, views, strict=True):
            duration_s = durations_s.get(event.video_id)
            weight = added_weight(event.interaction_type, view, event.watch_time, duration_s, watched)
            if weight > 0:
                hour = hour_of(time)
                for segment in segments_of(countries.get(event.user_id)):
                    yield TrendingBucket(hour, segment, event.video_id, weight)

    return made()


def _view(stored: StoredEvent) -> View | None:
    event = stored.event
    return view_of(event.interaction_type, event.user_id, event.video_id, event.feed_session_id)


def row_of(stored: StoredEvent) -> InteractionRow:
    """Returns an event as a row."""
    key, event, event_time, ingest_time = stored
    # By position: by name takes twice as long, of what is done for every event.
    return InteractionRow(
        key,
        event.user_id,
        event.video_id,
        event.interaction_type,
        event.watch_time,
        event_time,
        ingest_time,
        event.feed_session_id or None,
        event.recommendation_id or None,
        event.position,
        event.algorithm or None,
        event.model_version or None,
        event.recommendation_score,
        _json(event.experiments),
        event.rating,
        _json(event.metadata),
    )


def _json(value: object) -> str | None:
    return msgspec.json.encode(value).decode() if value else None


def _unavailable(error: Exception) -> StoreUnavailableError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return StoreUnavailableError(f"the database cannot be used: {str(cause) or type(cause).__name__}")
