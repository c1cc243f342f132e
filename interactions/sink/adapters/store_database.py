"""The store in the database: events, trending weights and log offsets in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.ports import Offsets, Partition
from eventlog.topics import INTERACTIONS
from interactions.domain.event import InteractionEvent
from interactions.domain.weights import trending_weight
from interactions.sink.ports import RowsRefusedError, StoredEvent, StoreUnavailableError
from storage import interactions, log_offsets, trending
from storage.database import Database
from storage.interactions import InteractionRow
from storage.trending import GLOBAL_SEGMENT, TrendingBucket


class DatabaseStore:
    """Writes into the feed's database.

    Args:
        database: Open as long as the store is used.
        group: Name of the reader whose offsets these are.
    """

    def __init__(self, database: Database, group: str) -> None:
        self._database = database
        self._group = group

    async def load_offsets(self) -> Offsets:
        """Returns where the last transaction left off."""
        try:
            async with self._database.read() as connection:
                found = await log_offsets.load(connection, self._group, INTERACTIONS)
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable(error) from error
        return {Partition(INTERACTIONS, partition): offset for partition, offset in found.items()}

    async def write(self, events: Sequence[StoredEvent], offsets: Offsets) -> int:
        """Writes all of it or nothing."""
        rows = {each.event.key: _row(each) for each in reversed(events)}
        try:
            async with self._database.begin() as connection:
                new = await interactions.insert_new(connection, list(rows.values()))
                # An event that came twice in one batch counts once, as the row of its first copy.
                fresh = {each.event.key: each.event for each in reversed(events) if each.event.key in new}
                await trending.add(connection, await _trending(connection, list(fresh.values())))
                next_offsets = {partition: offset for (_, partition), offset in offsets.items()}
                await log_offsets.save(connection, self._group, INTERACTIONS, next_offsets)
        except DBAPIError as error:
            if interactions.is_about_rows(error):
                raise RowsRefusedError(str(error.orig)) from error
            raise _unavailable(error) from error
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable(error) from error
        return len(new)


async def _trending(connection: AsyncConnection, events: Sequence[InteractionEvent]) -> list[TrendingBucket]:
    if not events:
        return []
    countries = await interactions.countries(connection, (event.user_id for event in events))
    durations_s = await interactions.durations_s(connection, (event.video_id for event in events))
    return [
        TrendingBucket(_hour(event.event_time), segment, event.video_id, weight)
        for event in events
        if (weight := trending_weight(event.interaction_type, event.watch_time_s, durations_s.get(event.video_id)))
        for segment in _segments(event, countries)
    ]


def _segments(event: InteractionEvent, countries: Mapping[str, str]) -> tuple[str, ...]:
    country = countries.get(event.user_id)
    return (GLOBAL_SEGMENT, country) if country else (GLOBAL_SEGMENT,)


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def _row(stored: StoredEvent) -> InteractionRow:
    event = stored.event
    return InteractionRow(
        event_id=event.key,
        user_id=event.user_id,
        video_id=event.video_id,
        interaction_type=event.interaction_type.value,
        watch_time_s=event.watch_time_s,
        event_time=event.event_time,
        ingest_time=stored.ingest_time,
        feed_session_id=event.feed_session_id or None,
        recommendation_id=event.recommendation_id or None,
        position=event.position,
        algorithm=event.algorithm or None,
        model_version=event.model_version or None,
        recommendation_score=event.recommendation_score,
        experiments=[{"experiment": each.experiment, "variant": each.variant} for each in event.experiments] or None,
        rating=event.rating,
        metadata=dict(event.metadata) or None,
    )


def _unavailable(error: Exception) -> StoreUnavailableError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return StoreUnavailableError(f"the database cannot be used: {cause}")
