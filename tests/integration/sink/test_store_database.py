"""The sink's store on SQLite and PostgreSQL: one transaction for rows, trending and offsets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from eventlog.ports import Partition
from eventlog.topics import INTERACTIONS
from interactions.domain.event import Assignment, InteractionEvent, InteractionType
from interactions.sink.adapters.store_database import DatabaseStore
from interactions.sink.ports import RowsRefusedError, StoredEvent, StoreUnavailableError
from storage.database import Database
from storage.tables import metadata, user_interactions, users, videos
from storage.trending import BucketRow, TrendingBucket, add, load_buckets

ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
TIME = datetime(2025, 9, 1, 12, 34, 56, 789_000, tzinfo=UTC)
HOUR = datetime(2025, 9, 1, 12, tzinfo=UTC)
EVENT = InteractionEvent("u1", "v1", InteractionType.LIKE, 0.0, TIME, ID)
AT = {Partition(INTERACTIONS, 0): 7, Partition(INTERACTIONS, 3): 9}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, pool_size=4)
    yield opened
    await opened.close()


def stored(*events: InteractionEvent) -> list[StoredEvent]:
    return [StoredEvent(event, TIME + timedelta(seconds=1)) for event in events]


def numbered(count: int, **changes: Any) -> list[InteractionEvent]:
    return [replace(EVENT, event_id=f"{number:08x}{ID[8:]}", **changes) for number in range(count)]


async def rows(database: Database) -> list[dict[str, Any]]:
    async with database.read() as connection:
        found = await connection.execute(sa.select(user_interactions).order_by(user_interactions.c.id))
        return [dict(row) for row in found.mappings()]


async def buckets(database: Database) -> list[BucketRow]:
    async with database.read() as connection:
        return await load_buckets(connection, 100)


def shown(found: list[BucketRow]) -> list[tuple[str, datetime, str, float]]:
    return [
        (segment, datetime.fromtimestamp(hour, UTC), video_id, round(weight, 9))
        for hour, segment, video_id, weight in found
    ]


async def test_every_field_is_kept(database: Database) -> None:
    event = InteractionEvent(
        user_id="u1",
        video_id="nobody-announced-it",
        interaction_type=InteractionType.RATE,
        watch_time_s=12.5,
        event_time=TIME,
        event_id=ID.upper(),
        feed_session_id="s1",
        recommendation_id="r1",
        position=3,
        algorithm="lightfm",
        recommendation_score=-0.25,
        model_version="m1",
        experiments=(Assignment("e1", "a"),),
        rating=0.0,
        served_token="t1",
        metadata={"k": "ü"},
    )

    assert await DatabaseStore(database, "g").write(stored(event), {}) == 1

    (row,) = await rows(database)
    del row["id"]
    assert row == {
        "event_id": ID,
        "user_id": "u1",
        "video_id": "nobody-announced-it",
        "interaction_type": "RATE",
        "watch_time_s": 12.5,
        "event_time": TIME,
        "ingest_time": TIME + timedelta(seconds=1),
        "feed_session_id": "s1",
        "recommendation_id": "r1",
        "position": 3,
        "algorithm": "lightfm",
        "model_version": "m1",
        "recommendation_score": -0.25,
        "experiments": [{"experiment": "e1", "variant": "a"}],
        "rating": 0.0,
        "metadata": {"k": "ü"},
    }


async def test_what_is_absent_is_null(database: Database) -> None:
    await DatabaseStore(database, "g").write(stored(EVENT), {})

    (row,) = await rows(database)
    absent = {name for name, value in row.items() if value is None}
    assert absent == {
        "feed_session_id",
        "recommendation_id",
        "position",
        "algorithm",
        "model_version",
        "recommendation_score",
        "experiments",
        "rating",
        "metadata",
    }


async def test_an_event_counts_once_however_often_it_comes(database: Database) -> None:
    store = DatabaseStore(database, "g")

    first = await store.write(stored(EVENT, replace(EVENT, event_id=ID.upper()), *numbered(3)), {})
    again = await store.write(stored(EVENT, *numbered(5)), {})

    assert (first, again) == (4, 2)
    assert len(await rows(database)) == 6
    assert shown(await buckets(database)) == [("global", HOUR, "v1", 4.2)]


async def test_trending_by_hour_video_and_country(database: Database) -> None:
    async with database.begin() as connection:
        user = {"features": {}, "personalised": True}
        await connection.execute(
            users.insert(), [user | {"user_id": "de", "country": "DE"}, user | {"user_id": "any", "country": ""}]
        )
        video = {"video_id": "v1", "duration_s": 10.0, "tags": [], "is_active": True}
        await connection.execute(videos.insert(), [video])
    a, b, c, d, e = numbered(5)
    view: dict[str, Any] = {"interaction_type": InteractionType.VIEW, "watch_time_s": 5.0}

    await DatabaseStore(database, "g").write(
        stored(
            replace(a, user_id="de", **view),
            replace(b, user_id="any", **view),
            replace(c, user_id="de", event_time=TIME + timedelta(hours=1)),
            replace(d, user_id="unknown", video_id="v2", interaction_type=InteractionType.SHARE),
            replace(e, user_id="de", video_id="v3", interaction_type=InteractionType.SKIP),
        ),
        {},
    )

    later = HOUR + timedelta(hours=1)
    assert shown(await buckets(database)) == [
        ("DE", later, "v1", 0.7),
        ("DE", HOUR, "v1", 0.05),
        ("global", later, "v1", 0.7),
        ("global", HOUR, "v2", 1.0),
        ("global", HOUR, "v1", 0.1),
    ]


async def test_newest_buckets_come_first_within_the_limit(database: Database) -> None:
    made = [TrendingBucket(HOUR + timedelta(hours=h), "global", f"v{h}{n}", n) for h in range(3) for n in range(1, 4)]
    async with database.begin() as connection:
        await add(connection, made)
        await add(connection, [])

    async with database.read() as connection:
        found = await load_buckets(connection, 4)

    assert [video_id for _, _, video_id, _ in found] == ["v23", "v22", "v21", "v13"]


async def test_offsets_are_kept_by_reader_and_may_go_back(database: Database) -> None:
    store, other = DatabaseStore(database, "g"), DatabaseStore(database, "other")
    assert await store.load_offsets() == {}

    await store.write(stored(EVENT), AT)
    await other.write([], {Partition(INTERACTIONS, 0): 1})
    await store.write([], {Partition(INTERACTIONS, 3): 2})

    assert await store.load_offsets() == {Partition(INTERACTIONS, 0): 7, Partition(INTERACTIONS, 3): 2}


async def test_a_refused_row_takes_everything_back(database: Database) -> None:
    """A value that the database cannot hold: NUL in PostgreSQL, a NOT NULL column in both."""
    bad = replace(EVENT, user_id=None)  # type: ignore[arg-type]

    with pytest.raises(RowsRefusedError):
        await DatabaseStore(database, "g").write(stored(*numbered(3), bad), AT)

    assert await rows(database) == []
    assert await buckets(database) == []
    assert await DatabaseStore(database, "g").load_offsets() == {}


@pytest.mark.postgres
async def test_postgres_refuses_nul(database: Database) -> None:
    if database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite stores it")

    with pytest.raises(RowsRefusedError):
        await DatabaseStore(database, "g").write(stored(replace(EVENT, algorithm="\x00")), {})


async def test_a_database_that_fails_is_unavailable(database: Database) -> None:
    async with database.begin() as connection:
        await connection.run_sync(metadata.drop_all)

    with pytest.raises(StoreUnavailableError):
        await DatabaseStore(database, "g").write(stored(EVENT), AT)
    with pytest.raises(StoreUnavailableError):
        await DatabaseStore(database, "g").load_offsets()


async def test_nobody_listening_is_unavailable() -> None:
    database = Database("postgresql://u:p@127.0.0.1:1/none")

    with pytest.raises(StoreUnavailableError):
        await DatabaseStore(database, "g").write(stored(EVENT), AT)

    await database.close()


async def test_two_sinks_at_once_count_everything_once(database: Database) -> None:
    """Two replicas read the same log: rows and trending must come out as if one had."""
    store = DatabaseStore(database, "g")
    events = numbered(200)

    counts = await asyncio.gather(
        *(store.write(stored(*part), {}) for part in (events, events[::-1], events[50:150], events[100:]))
    )

    assert sum(counts) == 200
    assert [weight for *_, weight in await buckets(database)] == [pytest.approx(200 * 0.7)]
