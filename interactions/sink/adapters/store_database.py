"""The store in the database: events, trending weights and log offsets in one transaction."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.ports import Offsets, Partition
from eventlog.topics import INTERACTIONS
from interactions.domain.trend import View, Watched, added_weight, hour_of, view_of
from interactions.sink.adapters.log_transactions import TIMEOUT_S, LogTransactions
from interactions.sink.ports import StoredEvent, Written
from interactions.sink.turns import in_turns
from storage import consent, interactions, trending
from storage.consent import Withheld
from storage.database import Database
from storage.interactions import InteractionRow
from storage.segments import segments_of
from storage.trending import Summed, TrendingBucket

# The country and the locale of users of whom neither is known.
_NOWHERE: Final = ("", "")


class DatabaseStore:
    """Writes into the feed's database.

    Two stores may write the same events at a time, when a partition moves from one sink to another: one waits for the
    other at the first such event (`event_id` is unique), and then finds them known.

    Args:
        database: Open as long as the store is used.
        group: Name of the readers whose offsets these are.
        timeout_s: Longest time of a transaction, in seconds.
    """

    def __init__(self, database: Database, group: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._transactions = LogTransactions(database, group, INTERACTIONS, timeout_s=timeout_s)

    async def load_offsets(self, partitions: Collection[Partition]) -> Offsets:
        """Returns where the last transaction on each partition left off."""
        return await self._transactions.load_offsets(partitions)

    async def write(self, events: Sequence[StoredEvent], offsets: Offsets) -> Written:
        """Writes all of it or nothing."""
        # An event that came twice counts once, as its first copy.
        once = list({each.key: each for each in reversed(events)}.values())[::-1]
        return await self._transactions.write(partial(_write, events=once), offsets)


async def _write(connection: AsyncConnection, events: Sequence[StoredEvent]) -> Written:
    withheld = await consent.withheld(connection, {each.event.user_id for each in events})
    kept = [each for each in events if not _is_kept_out(each, withheld)] if withheld else events
    # For the database one mostly waits; what is to be made is made meanwhile.
    known_ids, made = await asyncio.gather(_known_ids(connection, kept), _rows(kept))
    new = [each for each in kept if each.key not in known_ids]
    if new:
        # Asked before the rows go in, which are views themselves.
        known = await _known(connection, new)
        inserting = interactions.insert(connection, [row for row in made if row.event_id not in known_ids])
        _, sums = await asyncio.gather(inserting, _sums(new, known))
        await trending.add(connection, sums)
    return Written(len(new), len(events) - len(kept))


def _is_kept_out(stored: StoredEvent, withheld: Mapping[str, Withheld]) -> bool:
    found = withheld.get(stored.event.user_id)
    return found is not None and found.keeps_out(stored.event_time)


async def _known_ids(connection: AsyncConnection, events: Sequence[StoredEvent]) -> AbstractSet[str]:
    return await interactions.known_ids(connection, [each.key for each in events]) if events else frozenset()


async def _rows(events: Sequence[StoredEvent]) -> list[InteractionRow]:
    rows: list[InteractionRow] = []
    async for some in in_turns(events):
        rows += map(row_of, some)
    return rows


class _Known(NamedTuple):
    """What the database knows of the users, videos and views of new events.

    Args:
        watched: The views that were told before.
        places: The country and the locale of users of whom one is known.
        durations_s: The lengths of videos, in seconds.
    """

    watched: Watched
    places: Mapping[str, tuple[str, str]]
    durations_s: Mapping[str, float]


async def _known(connection: AsyncConnection, new: Sequence[StoredEvent]) -> _Known:
    views = {view for view in map(_view, new) if view}
    return _Known(
        Watched(await interactions.longest_views_s(connection, list(views))),
        await interactions.places(connection, {each.event.user_id for each in new}),
        await interactions.durations_s(connection, {each.event.video_id for each in new}),
    )


async def _sums(new: Sequence[StoredEvent], known: _Known) -> Summed:
    """Returns what new events, in the order in which they came, add to trending."""
    watched, places, durations_s = known
    # By place and not by segment, of which a place has up to three: few of the sums are of one event alone.
    sums: dict[tuple[datetime, str, tuple[str, str]], float] = {}
    async for some in in_turns(new):
        for stored in some:
            event = stored.event
            duration_s = durations_s.get(event.video_id)
            weight = added_weight(event.interaction_type, _view(stored), event.watch_time, duration_s, watched)
            if weight > 0:
                key = (hour_of(stored.event_time), event.video_id, places.get(event.user_id, _NOWHERE))
                sums[key] = sums.get(key, 0.0) + weight
    return trending.summed(
        TrendingBucket(hour, segment, video_id, weight)
        for (hour, video_id, place), weight in sums.items()
        for segment in segments_of(*place)
    )


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
        event.served_token or None,
    )


def _json(value: object) -> str | None:
    return msgspec.json.encode(value).decode() if value else None
