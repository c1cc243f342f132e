"""Fallback lists read from both databases."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.adapters.lists_database import DatabaseLists
from bridge.domain.exploration import NewcomerList
from bridge.domain.filters import VideoFacts
from bridge.domain.lists import ladders
from bridge.domain.trending import ListPolicy, Trend
from bridge.ports import ListError
from interactions.domain.event import InteractionEvent, InteractionType
from interactions.domain.log_record import record_of
from interactions.sink.adapters.store_database import DatabaseStore
from interactions.sink.ports import StoredEvent
from storage.database import Database, sync_engine
from storage.tables import trending, user_interactions, users, videos
from tests.databases import drivers_ended

HOUR = datetime(2022, 4, 1, 10, tzinfo=UTC)


def fill(url: str) -> None:
    engine = sync_engine(url)
    catalogue = [
        {
            "video_id": video_id,
            "author_id": "ann",
            "tags": ["cats"],
            "language": "en",
            "duration_s": 9.5,
            "published_at": published_at,
            "is_active": active,
            "country": "GB",
        }
        for video_id, published_at, active in (
            ("old", HOUR - timedelta(days=9), True),
            ("new", HOUR, True),
            ("undated", None, True),
            ("gone", HOUR + timedelta(days=1), False),
        )
    ]
    weights = [
        ("global", HOUR, "old", 3.0),
        ("global", HOUR - timedelta(hours=24), "new", 8.0),
        ("global", HOUR, "gone", 99.0),
        ("global", HOUR, "invented", 99.0),
        ("GB", HOUR, "undated", 1.0),
        ("lang:en", HOUR, "old", 2.0),
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(videos), catalogue)
        names = ("segment", "bucket", "video_id", "weight")
        connection.execute(sa.insert(trending), [dict(zip(names, row, strict=True)) for row in weights])
    engine.dispose()


async def test_trending_decays_and_knows_only_active_videos(database_url: str) -> None:
    fill(database_url)
    database = Database(database_url)
    lists = await DatabaseLists(database, ListPolicy(half_life_s=86_400, rising=0), None).trending(5.0)
    await database.close()
    assert lists.refreshed_time == 5.0
    assert lists.trends == {
        "global": Trend(("new", "old"), (4.0, 3.0)),
        "GB": Trend(("undated",), (1.0,)),
        "lang:en": Trend(("old",), (2.0,)),
    }
    assert lists.facts["old"] == VideoFacts(
        "ann", frozenset({"cats"}), "en", 9.5, (HOUR - timedelta(days=9)).timestamp(), "GB"
    )


async def test_what_rises_comes_first(database_url: str) -> None:
    """All that `old` has is of the newest hour, all that `new` has a day old."""
    fill(database_url)
    database = Database(database_url)
    lists = await DatabaseLists(database, ListPolicy(half_life_s=86_400, rising=1.0), None).trending(5.0)
    await database.close()
    assert lists.trends["global"].video_ids == ("old", "new")


async def test_what_the_sink_writes_of_a_language_is_that_languages_rung(database_url: str) -> None:
    fill(database_url)
    database = Database(database_url)
    async with database.begin() as connection:
        user = {"user_id": "u1", "features": {}, "personalised": True, "country": "GB", "locale": "cy_GB"}
        await connection.execute(sa.insert(users), [user])
    liked = InteractionEvent("u1", "old", InteractionType.LIKE, 0.0, HOUR, str(uuid.uuid4()))
    await DatabaseStore(database, "g").write([StoredEvent(liked.key, record_of(liked), HOUR, HOUR)], {})
    made = ladders(await DatabaseLists(database, ListPolicy(), None).trending(5.0), None)
    await database.close()
    best = made.of("", "cy-GB")[0]
    assert (best.name, best.video_ids) == ("trending_language", ("old",))
    assert [rung.name for rung in made.of("GB", "CY")][:2] == ["trending_country", "trending_language"]
    assert made.of("GB")[0].video_ids == ("undated", "old")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        pytest.param(None, ("new", "old", "undated"), id="none-so-the-newest"),
        pytest.param(["old", "gone", "nowhere", "new"], ("old", "new"), id="the-operators-active-ones"),
        pytest.param(["gone"], ("new", "old", "undated"), id="none-of-the-operators-is-active"),
    ],
)
async def test_the_editorial_list(
    chosen: list[str] | None, expected: tuple[str, ...], database_url: str, tmp_path: Path
) -> None:
    fill(database_url)
    path = tmp_path / "chosen.json"
    path.write_text(json.dumps(chosen))
    database = Database(database_url)
    found = await DatabaseLists(database, ListPolicy(), path if chosen else None).editorial()
    await database.close()
    assert found.video_ids == expected
    assert set(found.facts) >= set(expected)


async def test_an_unreadable_operators_list_is_an_error_not_an_empty_list(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    with pytest.raises(ListError, match=r"chosen\.json"):
        await DatabaseLists(database, ListPolicy(), tmp_path / "chosen.json").editorial()
    await database.close()


def meet(url: str, video_id: str, times: int) -> None:
    """Has a video watched so many times, by as many users."""
    watched = [
        {
            "event_id": str(uuid.uuid4()),
            "user_id": f"u{number}",
            "video_id": video_id,
            "interaction_type": "VIEW",
            "watch_time_s": 1.0,
            "event_time": HOUR,
            "ingest_time": HOUR,
        }
        for number in range(times)
    ]
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.insert(user_interactions), watched)
    engine.dispose()


async def newcomers(url: str, policy: ListPolicy) -> NewcomerList:
    database = Database(url)
    found = await DatabaseLists(database, policy, None).newcomers()
    await database.close()
    return found


async def test_new_is_what_was_published_is_active_and_was_met_by_few(database_url: str) -> None:
    fill(database_url)
    meet(database_url, "new", 2)
    meet(database_url, "old", 3)
    found = await newcomers(database_url, ListPolicy(few=3))
    assert found.video_ids == ("new",)
    assert found.facts == {"new": VideoFacts("ann", frozenset({"cats"}), "en", 9.5, HOUR.timestamp(), "GB")}
    assert (await newcomers(database_url, ListPolicy(few=4))).video_ids == ("new", "old"), "the last published first"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(ListPolicy(newcomers=1), ("new",), id="no more than are kept"),
        pytest.param(ListPolicy(newest=1), ("new",), id="no more than are looked at"),
        pytest.param(ListPolicy(newest=1, few=2), (), id="and of these only what few have met"),
    ],
)
async def test_of_new_videos_the_last_published_count(
    policy: ListPolicy, expected: tuple[str, ...], database_url: str
) -> None:
    fill(database_url)
    meet(database_url, "new", 2)
    assert (await newcomers(database_url, policy)).video_ids == expected


@pytest.mark.parametrize("url", ["sqlite:////nowhere/feed.db", "postgresql://nobody@127.0.0.1:1/feed"])
async def test_a_database_that_is_down_is_a_list_error(url: str, tmp_path: Path) -> None:
    path = tmp_path / "chosen.json"
    path.write_text('["a"]')
    database = Database(url)
    with pytest.raises(ListError):
        await DatabaseLists(database, ListPolicy(), None).trending(0.0)
    with pytest.raises(ListError):
        await DatabaseLists(database, ListPolicy(), None).newcomers()
    assert (await DatabaseLists(database, ListPolicy(), path).editorial()).video_ids == ("a",)
    await database.close()
    await drivers_ended()
