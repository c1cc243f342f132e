"""Every store of users' own lists gives the best of a user's active videos, in order."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bridge.adapters.user_lists_database import DatabaseUserLists
from bridge.domain.filters import VideoFacts
from bridge.domain.personal import PersonalRow, UserList
from bridge.fakes import ScriptedUserLists
from bridge.ports import UserLists
from storage.database import Database, sync_engine, upgrade
from storage.tables import user_recommendations, videos
from tests.databases import fresh_postgres_url

MADE = datetime(2026, 11, 20, 3, tzinfo=UTC)
EXPIRES = MADE + timedelta(days=2)

FACTS = VideoFacts("ann", frozenset({"cats"}), "en", 9.5, MADE.timestamp())
RANKED = [
    PersonalRow(video_id, score, "lightfm-warp", "m1", MADE.timestamp(), EXPIRES.timestamp())
    for video_id, score in (("c", 0.9), ("a", 0.7), ("b", 0.8))
]


@pytest.fixture(params=["fake", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[UserLists]:
    if request.param == "fake":
        yield ScriptedUserLists({"u1": UserList(RANKED, {row.video_id: FACTS for row in RANKED})})
        return
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'feed.db'}"
    else:
        url = fresh_postgres_url(request.getfixturevalue("postgres").url)
    upgrade(url)
    fill(url)
    database = Database(url)
    yield DatabaseUserLists(database)
    await database.close()


def fill(url: str) -> None:
    engine = sync_engine(url)
    listed = [_listed("u1", row.video_id, rank, row.score) for rank, row in enumerate(RANKED, start=2)]
    listed += [_listed("u1", "gone", 0, 9.0), _listed("u1", "nowhere", 1, 9.0), _listed("u2", "gone", 0, 1.0)]
    with engine.begin() as connection:
        connection.execute(sa.insert(videos), [_video(video_id, active=True) for video_id in "abc"])
        connection.execute(sa.insert(videos), [_video("gone", active=False)])
        connection.execute(sa.insert(user_recommendations), listed)
    engine.dispose()


def _video(video_id: str, *, active: bool) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "author_id": "ann",
        "tags": ["cats"],
        "language": "en",
        "duration_s": 9.5,
        "published_at": MADE,
        "is_active": active,
    }


def _listed(user_id: str, video_id: str, rank: int, score: float) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "video_id": video_id,
        "score": score,
        "rank": rank,
        "algorithm": "lightfm-warp",
        "model_version": "m1",
        "generated_at": MADE,
        "expires_at": EXPIRES,
    }


async def test_a_list_comes_by_rank_and_holds_active_videos_only(store: UserLists) -> None:
    assert await store.read("u1", 10, with_facts=False) == UserList(RANKED, {})


async def test_no_more_than_asked_for(store: UserLists) -> None:
    assert (await store.read("u1", 2, with_facts=False)).rows == RANKED[:2]


async def test_facts_come_when_they_are_asked_for(store: UserLists) -> None:
    found = await store.read("u1", 10, with_facts=True)
    assert (found.rows, found.facts) == (RANKED, dict.fromkeys("abc", FACTS))


@pytest.mark.parametrize("user_id", ["u2", "stranger"])
async def test_somebody_without_a_list_has_none(user_id: str, store: UserLists) -> None:
    found = await store.read(user_id, 10, with_facts=True)
    assert (list(found.rows), dict(found.facts)) == ([], {})
