"""The sink's store on SQLite and PostgreSQL: one transaction for rows, trending and offsets."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from eventlog.ports import Partition
from eventlog.topics import INTERACTIONS
from interactions.bulk.trending import rebuild
from interactions.domain.event import Assignment, InteractionEvent, InteractionType
from interactions.domain.log_record import record_of
from interactions.sink.adapters.store_database import DatabaseStore, row_of
from interactions.sink.ports import RowsRefusedError, StoredEvent, StoreUnavailableError, Written
from storage import interactions
from storage.database import Database, sync_engine
from storage.dialect import set_for_transaction
from storage.tables import metadata, trending, user_interactions, users, videos

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
    return [StoredEvent(each.key, record_of(each), each.event_time, TIME + timedelta(seconds=1)) for each in events]


def numbered(count: int, **changes: Any) -> list[InteractionEvent]:
    return [replace(EVENT, event_id=f"{number:08x}{ID[8:]}", **changes) for number in range(count)]


async def rows(database: Database) -> list[dict[str, Any]]:
    async with database.read() as connection:
        found = await connection.execute(sa.select(user_interactions).order_by(user_interactions.c.id))
        return [dict(row) for row in found.mappings()]


Bucket = tuple[str, datetime, str, float]


async def buckets(database: Database) -> list[Bucket]:
    """What trends by segment, newest and heaviest first."""
    row = trending.c
    newest_first = sa.select(row.segment, row.bucket, row.video_id, row.weight).order_by(
        row.bucket.desc(), row.weight.desc()
    )
    async with database.read() as connection:
        found = [tuple(each) for each in await connection.execute(newest_first)]
    return sorted(found, key=lambda bucket: bucket[0])


def shown(found: list[Bucket]) -> list[Bucket]:
    return [(segment, hour, video_id, round(weight, 9)) for segment, hour, video_id, weight in found]


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

    assert await DatabaseStore(database, "g").write(stored(event), {}) == Written(1)

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
        "served_token": "t1",
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
        "served_token",
    }


async def test_an_event_counts_once_however_often_it_comes(database: Database) -> None:
    store = DatabaseStore(database, "g")

    first = await store.write(stored(EVENT, replace(EVENT, event_id=ID.upper()), *numbered(3)), {})
    again = await store.write(stored(EVENT, *numbered(5)), {})

    assert (first, again) == (Written(4), Written(2))
    assert len(await rows(database)) == 6
    assert shown(await buckets(database)) == [("global", HOUR, "v1", 4.2)]


async def test_trending_by_hour_video_country_and_language(database: Database) -> None:
    async with database.begin() as connection:
        user = {"features": {}, "personalised": True}
        places = {"de": ("DE", "de-DE"), "any": ("", "de"), "ch": ("CH", "")}
        known = [user | {"user_id": name, "country": place[0], "locale": place[1]} for name, place in places.items()]
        await connection.execute(users.insert(), known)
        video = {"video_id": "v1", "duration_s": 10.0, "tags": [], "is_active": True}
        await connection.execute(videos.insert(), [video])
    a, b, c, d, e, f = numbered(6)
    view: dict[str, Any] = {"interaction_type": InteractionType.VIEW, "watch_time_s": 5.0}

    await DatabaseStore(database, "g").write(
        stored(
            replace(a, user_id="de", **view),
            replace(b, user_id="any", **view),
            replace(c, user_id="de", event_time=TIME + timedelta(hours=1)),
            replace(d, user_id="unknown", video_id="v2", interaction_type=InteractionType.SHARE),
            replace(e, user_id="de", video_id="v3", interaction_type=InteractionType.SKIP),
            replace(f, user_id="ch", video_id="v4"),
        ),
        {},
    )

    later = HOUR + timedelta(hours=1)
    assert shown(await buckets(database)) == [
        ("CH", HOUR, "v4", 0.7),
        ("DE", later, "v1", 0.7),
        ("DE", HOUR, "v1", 0.05),
        ("global", later, "v1", 0.7),
        ("global", HOUR, "v2", 1.0),
        ("global", HOUR, "v4", 0.7),
        ("global", HOUR, "v1", 0.1),
        ("lang:de", later, "v1", 0.7),
        ("lang:de", HOUR, "v1", 0.1),
    ]


async def test_offsets_are_kept_by_reader_and_may_go_back(database: Database) -> None:
    store, other = DatabaseStore(database, "g"), DatabaseStore(database, "other")
    assert await store.load_offsets(AT) == {}

    await store.write(stored(EVENT), AT)
    await other.write([], {Partition(INTERACTIONS, 0): 1})
    await store.write([], {Partition(INTERACTIONS, 3): 2})

    assert await store.load_offsets(AT) == {Partition(INTERACTIONS, 0): 7, Partition(INTERACTIONS, 3): 2}
    assert await store.load_offsets([Partition(INTERACTIONS, 3), Partition(INTERACTIONS, 5)]) == {
        Partition(INTERACTIONS, 3): 2
    }


async def test_a_refused_row_takes_everything_back(database: Database) -> None:
    """A value that the database cannot hold: NUL in PostgreSQL, a NOT NULL column in both."""
    bad = replace(EVENT, user_id=None)  # type: ignore[arg-type]

    with pytest.raises(RowsRefusedError):
        await DatabaseStore(database, "g").write(stored(*numbered(3), bad), AT)

    assert await rows(database) == []
    assert await buckets(database) == []
    assert await DatabaseStore(database, "g").load_offsets(AT) == {}


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
        await DatabaseStore(database, "g").load_offsets(AT)


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

    assert sum(counts, Written(0)) == Written(200)
    assert [weight for *_, weight in await buckets(database)] == [pytest.approx(200 * 0.7)]


def views(count: int, seed: int = 7) -> list[InteractionEvent]:
    """Views of 24 sessions that are told again and again, watched for longer or shorter; videos last 10 s."""
    chance = random.Random(seed)
    return [
        replace(
            each,
            interaction_type=InteractionType.VIEW,
            user_id=f"u{session % 4}",
            video_id=f"v{session % 3}",
            feed_session_id=f"s{session}" if session else "",
            watch_time_s=round(chance.uniform(0, 14), 3),
            event_time=TIME + timedelta(minutes=chance.randrange(240)),
        )
        for each in numbered(count)
        for session in [chance.randrange(24)]
    ]


def expected(events: list[InteractionEvent]) -> float:
    """What they add up to where of one user, video and session only the longest counts."""
    longest_s: dict[tuple[str, ...], float] = {}
    for each in events:
        alone = each.event_id if not each.feed_session_id else ""
        key = (each.user_id, each.video_id, each.feed_session_id, alone)
        longest_s[key] = max(longest_s.get(key, 0.0), each.watch_time_s)
    return sum(0.1 * min(watch_s / 10, 1) for watch_s in longest_s.values())


async def total(database: Database) -> float:
    return sum(weight for segment, _, _, weight in await buckets(database) if segment == "global")


@pytest.fixture
async def lengths(database: Database) -> None:
    async with database.begin() as connection:
        made = [{"video_id": f"v{n}", "duration_s": 10.0, "tags": [], "is_active": True} for n in range(3)]
        await connection.execute(videos.insert(), made)


@pytest.mark.usefixtures("lengths")
@pytest.mark.parametrize("size", [1, 7, 400])
async def test_a_view_told_again_counts_as_its_longest(database: Database, size: int) -> None:
    """Design part 5: within a batch, across batches and after a restart (the store remembers nothing)."""
    events = views(120 if size == 1 else 400)

    for start in range(0, len(events), size):
        await DatabaseStore(database, "g").write(stored(*events[start : start + size]), {})

    assert await total(database) == pytest.approx(expected(events))
    assert len(await rows(database)) == len(events)


@pytest.mark.usefixtures("lengths")
async def test_reading_again_adds_nothing(database: Database) -> None:
    events, store = views(200), DatabaseStore(database, "g")
    await store.write(stored(*events[:150]), {})

    await store.write(stored(*events[50:]), {})

    assert await total(database) == pytest.approx(expected(events))


@pytest.mark.usefixtures("lengths")
async def test_a_sink_that_lost_its_partition_and_the_one_that_has_it_count_a_view_once(database: Database) -> None:
    """A rebalance overlap: both begin where the database said, and write the same events at the same time."""
    events = views(600)

    async def write(sizes: list[int]) -> None:
        store, start = DatabaseStore(database, "g"), 0
        while sizes:
            end = start + sizes[0]
            # Who met the others in all its attempts writes again, as the sink does.
            with suppress(StoreUnavailableError):
                await store.write(stored(*events[start:end]), {Partition(INTERACTIONS, 0): end})
                start, sizes = end, sizes[1:]

    await asyncio.gather(write([80] * 4), write([50] * 12), write([200] * 2))

    assert await total(database) == pytest.approx(expected(events))
    assert len(await rows(database)) == 600


@pytest.mark.usefixtures("lengths")
async def test_the_rebuilt_buckets_are_the_same(database: Database, database_url: str) -> None:
    events = views(300)
    await DatabaseStore(database, "g").write(stored(*events), {})
    before = await total(database)

    engine = sync_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.delete(trending))
        rebuild(connection)
    engine.dispose()

    assert await total(database) == pytest.approx(before)


async def test_a_writer_that_hangs_in_its_transaction_is_cut_off(database: Database) -> None:
    """PostgreSQL ends it, so that whoever has its partitions now can write the same events."""
    if database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time, which waits for the other for 10 s")
    with pytest.raises(DBAPIError):
        async with database.begin() as hung:
            await set_for_transaction(hung, {"idle_in_transaction_session_timeout": "200ms"})
            await interactions.insert(hung, [row_of(each) for each in stored(EVENT)])

            async with asyncio.timeout(20):
                assert await DatabaseStore(database, "g").write(stored(EVENT), AT) == Written(1)

    assert len(await rows(database)) == 1


async def test_a_database_that_hangs_is_unavailable_and_told(database: Database) -> None:
    """It sends no error; here another writer has what is to be written."""
    if database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite waits for 10 s, in a thread that cannot be interrupted")
    async with database.begin() as other:
        await interactions.insert(other, [row_of(each) for each in stored(EVENT)])

        with pytest.raises(StoreUnavailableError, match=r"cannot be used: \w"):
            await DatabaseStore(database, "g", timeout_s=0.3).write(stored(EVENT), AT)

    assert await DatabaseStore(database, "g").write(stored(EVENT), AT) == Written(0)
