"""The sink's store of served pages on SQLite and PostgreSQL: one transaction for both tables and the offsets."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from eventlog.ports import Partition
from eventlog.topics import INTERACTIONS, SERVED
from interactions.domain.served_page import Served, read
from interactions.sink.adapters import served_database
from interactions.sink.adapters.served_database import DatabaseServedStore
from interactions.sink.ports import RowsRefusedError, StoreUnavailableError, Written
from interactions.system import System
from storage.database import Database
from storage.tables import feed_cache, metadata, recommendation_decisions

TIME = datetime(2025, 9, 1, 12, 34, 56, 789_000, tzinfo=UTC)
AT = {Partition(SERVED, 0): 7, Partition(SERVED, 3): 9}


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.time = TIME
        self.monotonic_s = 1.0

    def system(self) -> System:
        return System(now=lambda: self.time, monotonic=lambda: self.monotonic_s)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, pool_size=4)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: Database, clock: Clock) -> DatabaseServedStore:
    return DatabaseServedStore(database, "g", clock.system())


def page(number: int, **fields: Any) -> Served:
    made = {
        "recommendationId": f"r{number}",
        "userId": f"u{number % 3}",
        "feedSessionId": "s1",
        "timestamp": TIME.isoformat(),
        "algorithm": "lightfm-warp",
        "source": "LIGHTFM",
        "fallbackReason": "NONE",
        "modelVersion": "m1",
        "experiments": [],
        "firstPosition": 1,
        "videoIds": ["v1", "v2"],
        "scores": [2.5, 1.5],
    }
    return read(json.dumps({**made, **fields}).encode())


def pages(count: int) -> list[Served]:
    return [page(number) for number in range(count)]


async def rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    async with database.read() as connection:
        found = await connection.execute(sa.select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


async def counts(database: Database) -> tuple[int, int]:
    return len(await rows(database, feed_cache)), len(await rows(database, recommendation_decisions))


async def test_every_field_is_kept(database: Database, store: DatabaseServedStore) -> None:
    served = page(
        1,
        source="TRENDING",
        fallbackReason="CIRCUIT_OPEN",
        firstPosition=21,
        videoIds=["v1", "nobody-announced-it"],
        experiments=[{"experiment": "e1", "variant": "b"}],
        scoreParts={"user_item": [2.0, 1.0], "prior": [0.5, 0.5]},
        explored=[1],
        propensities=[0.125],
        filtersApplied={"includeTags": ["ü"]},
        removed={"seen": 3},
        elapsedMs=12.5,
    )

    assert await store.write([served], AT) == Written(1)

    (cached,) = await rows(database, feed_cache)
    assert cached.pop("id") > 0
    assert cached == {
        "recommendation_id": "r1",
        "feed_session_id": "s1",
        "first_position": 21,
        "user_id": "u1",
        "algorithm": "lightfm-warp",
        "model_version": "m1",
        "source": "TRENDING",
        "fallback_reason": "CIRCUIT_OPEN",
        "video_ids": ["v1", "nobody-announced-it"],
        "scores": [2.5, 1.5],
        "elapsed_ms": 12.5,
        "created_at": TIME,
        "expires_at": TIME + timedelta(hours=24),
    }
    first, second = await rows(database, recommendation_decisions)
    assert first == {
        "recommendation_id": "r1",
        "position": 21,
        "user_id": "u1",
        "video_id": "v1",
        "media_type": "video",
        "final_score": 2.5,
        "score_components": {"user_item": 2.0, "prior": 0.5},
        "filters_applied": {"includeTags": ["ü"]},
        "rejections": {"seen": 3},
        "source_type": "TRENDING",
        "fallback_reason": "CIRCUIT_OPEN",
        "feed_session_id": "s1",
        "similar_user_id": None,
        "algorithm": "lightfm-warp",
        "model_version": "m1",
        "experiments": [{"experiment": "e1", "variant": "b"}],
        "propensity": None,
        "created_at": TIME,
    }
    changed = {name: value for name, value in second.items() if value != first[name]}
    assert changed == {
        "position": 22,
        "video_id": "nobody-announced-it",
        "final_score": 1.5,
        "score_components": {"user_item": 1.0, "prior": 0.5},
        "propensity": 0.125,
    }
    assert await store.load_offsets(AT) == AT


async def test_what_is_not_known_is_null(database: Database, store: DatabaseServedStore) -> None:
    await store.write([page(1, modelVersion="", scores=[None, 1.0])], {})

    first, _ = await rows(database, recommendation_decisions)
    absent = {name for name, value in first.items() if value is None}
    assert absent == {
        "final_score",
        "score_components",
        "filters_applied",
        "rejections",
        "similar_user_id",
        "model_version",
        "experiments",
        "propensity",
    }


async def test_a_page_counts_once_however_often_it_comes(database: Database, store: DatabaseServedStore) -> None:
    first = await store.write([*pages(3), *pages(3)], {})
    again = await store.write(pages(5), {})

    assert (first, again) == (Written(3), Written(2))
    assert await counts(database) == (5, 10)


async def test_one_that_came_before_the_cache_forgot_it_is_known(
    database: Database, store: DatabaseServedStore
) -> None:
    await store.write(pages(1), {})
    async with database.begin() as connection:
        await connection.execute(feed_cache.delete())

    assert await store.write(pages(1), {}) == Written(0)
    assert await counts(database) == (0, 2)


async def test_a_page_without_videos_is_a_page(database: Database, store: DatabaseServedStore) -> None:
    empty = page(1, videoIds=[], scores=[])

    assert [await store.write([empty], {}), await store.write([empty], {})] == [Written(1), Written(0)]
    assert await counts(database) == (1, 0)


async def test_a_session_may_have_two_first_pages(database: Database, store: DatabaseServedStore) -> None:
    """A client that starts afresh under its own session id; what either page showed was sent."""
    await store.write([page(1, feedSessionId="mine"), page(2, feedSessionId="mine", videoIds=["v3", "v4"])], {})

    shown = [row["video_ids"] for row in await rows(database, feed_cache)]
    assert shown == [["v1", "v2"], ["v3", "v4"]]


async def test_offsets_belong_to_group_and_topic(database: Database, store: DatabaseServedStore) -> None:
    other = {Partition(INTERACTIONS, 0): 1}
    await store.write([], AT)

    assert await store.load_offsets({**AT, **other}) == AT
    assert await DatabaseServedStore(database, "other", System()).load_offsets(AT) == {}


async def test_what_fails_leaves_nothing(database: Database, store: DatabaseServedStore) -> None:
    async with database.begin() as connection:
        await connection.execute(
            sa.text(
                "CREATE TRIGGER mistake BEFORE INSERT ON recommendation_decisions WHEN NEW.video_id = 'bad'"
                " BEGIN SELECT RAISE(ABORT, 'mistake'); END"
                if connection.dialect.name == "sqlite"
                else "ALTER TABLE recommendation_decisions ADD CONSTRAINT mistake CHECK (video_id <> 'bad')"
            )
        )
    with pytest.raises(RowsRefusedError):
        await store.write([*pages(3), page(9, videoIds=["v1", "bad"])], AT)

    assert await counts(database) == (0, 0)
    assert await store.load_offsets(AT) == {}


async def test_without_its_tables_it_is_unavailable(database: Database, store: DatabaseServedStore) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)

    with pytest.raises(StoreUnavailableError):
        await store.write(pages(1), AT)


async def test_two_sinks_with_the_same_pages_write_them_once(database: Database, clock: Clock) -> None:
    """A partition moves while its old owner still has them in hand."""
    stores = [DatabaseServedStore(database, "g", clock.system()) for _ in range(2)]
    there = pages(200)

    written = await asyncio.gather(stores[0].write(there, AT), stores[1].write(there[::-1], AT))

    assert sum(written, Written(0)) == Written(200)
    assert await counts(database) == (200, 400)


async def test_expired_pages_go_in_bounded_steps(
    database: Database, store: DatabaseServedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_database, "_PRUNE_ROWS", 2)
    monkeypatch.setattr(served_database, "_PRUNES", 3)
    await store.write(pages(9), {})
    clock.time = TIME + timedelta(hours=24)
    young = page(100, timestamp=clock.time.isoformat())

    await store.write([young], {})
    assert await counts(database) == (10, 20)
    clock.monotonic_s += 10
    await store.write([], {})
    assert await counts(database) == (4, 20)
    clock.monotonic_s += 10
    await store.write([], {})

    assert [row["recommendation_id"] for row in await rows(database, feed_cache)] == ["r100"]
    assert len(await rows(database, recommendation_decisions)) == 20
