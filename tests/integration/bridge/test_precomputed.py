"""A user's own list, made beforehand, is the ladder's first rung when that is enabled (issue 4, item 6)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.adapters.user_lists_database import DatabaseUserLists
from bridge.domain.filters import Conditions
from bridge.domain.ladder import Skip, Skipped
from bridge.domain.outcome import FallbackReason
from bridge.domain.personal import PersonalPolicy
from bridge.fakes import FakeClock, Recorder
from bridge.personal import PersonalRung
from bridge.ports import ListError
from fakes.scorer.server import FakeScorer
from feed.common.v1 import common_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from storage.database import Database
from storage.tables import user_recommendations, videos
from tests.databases import drivers_ended
from tests.integration.bridge.conftest import RunningBridge, StartBridge, execute, lose_database
from tests.polling import until

OWN = [f"e{number:02}" for number in range(30)]
# A busy test machine needs longer than 5 ms.
ON = {"precomputed_enabled": True, "precomputed_timeout_ms": 1000, "deadline_ms": 5000}
NOW = datetime.now(UTC)
SKIPPED = "feed_bridge_rungs_skipped_total"


def give(
    folder: Path, video_ids: Sequence[str], *, made: datetime = NOW, expires: datetime = NOW + timedelta(days=1)
) -> None:
    rows = [
        {
            "user_id": "u1",
            "video_id": video_id,
            "score": 1.0 / (1 + rank),
            "rank": rank,
            "algorithm": "lightfm-warp",
            "model_version": "m7",
            "generated_at": made,
            "expires_at": expires,
        }
        for rank, video_id in enumerate(video_ids)
    ]
    execute(folder, sa.delete(user_recommendations), sa.insert(user_recommendations).values(rows))


def ids(page: pb.GetRecommendationsResponse) -> list[str]:
    return [item.video_id for item in page.recommendations]


@pytest.fixture
async def bridge(start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path) -> AsyncIterator[RunningBridge]:
    scorer.take("acts = [{ model_missing = true }]")
    async with start_bridge(scorer.target, **ON) as running:
        give(tmp_path, OWN)
        yield running


async def test_the_users_own_list_serves_and_is_scrolled(bridge: RunningBridge) -> None:
    first = await bridge.page()
    second = await bridge.page(page_token=first.next_page_token)
    for page in (first, second):
        assert (page.source, page.fallback_reason) == (pb.PRECOMPUTED, pb.MODEL_MISSING)
        assert (page.algorithm, page.model_version) == ("lightfm-warp", "m7")
    assert ids(first) + ids(second) == OWN
    assert [item.position for item in second.recommendations] == list(range(21, 31))
    assert bridge.metric("feed_bridge_fallback_rungs_total", rung="precomputed", reason="MODEL_MISSING") == 1


async def test_the_scroll_goes_on_when_the_database_is_gone(bridge: RunningBridge, tmp_path: Path) -> None:
    first = await bridge.page()
    lose_database(tmp_path)
    second = await bridge.page(page_token=first.next_page_token)
    assert (ids(second), second.source) == (OWN[20:], pb.PRECOMPUTED)


async def test_filters_hold_on_it(bridge: RunningBridge) -> None:
    """Decision 0007: a video of which the catalogue does not know enough does not appear."""
    filters = common_pb2.VideoFilters(include_tags=["odd"], exclude_video_ids=["e01"])
    page = await bridge.page(page_size=3, filters=filters)
    assert (ids(page), page.source) == (["e03", "e05", "e07"], pb.PRECOMPUTED)


async def test_videos_taken_off_are_not_on_it(bridge: RunningBridge, tmp_path: Path) -> None:
    execute(tmp_path, sa.update(videos).where(videos.c.video_id == "e00").values(is_active=False))
    assert ids(await bridge.page())[0] == "e01"


async def check_passed_over(bridge: RunningBridge, why: Skip, user_id: str = "u1") -> None:
    page = await bridge.page(user_id, page_size=5)
    assert page.source == pb.TRENDING
    assert bridge.metric(SKIPPED, rung="precomputed", why=why.value) == 1


async def test_somebody_without_one_gets_trending(bridge: RunningBridge) -> None:
    await check_passed_over(bridge, Skip.NONE, "u2")


@pytest.mark.parametrize(
    ("made", "expires"),
    [
        pytest.param(NOW - timedelta(days=3), NOW + timedelta(days=1), id="too-old"),
        pytest.param(NOW - timedelta(days=1), NOW - timedelta(seconds=1), id="expired"),
    ],
)
async def test_a_stale_one_does_not_serve(
    made: datetime, expires: datetime, bridge: RunningBridge, tmp_path: Path
) -> None:
    give(tmp_path, OWN, made=made, expires=expires)
    await check_passed_over(bridge, Skip.STALE)


async def test_one_that_does_not_fill_a_page_does_not_serve(bridge: RunningBridge, tmp_path: Path) -> None:
    give(tmp_path, OWN[:3])
    await check_passed_over(bridge, Skip.TOO_SHORT)


async def test_a_lost_table_costs_the_list_not_the_page(bridge: RunningBridge, tmp_path: Path) -> None:
    execute(tmp_path, sa.text("DROP TABLE user_recommendations"))
    await check_passed_over(bridge, Skip.UNAVAILABLE)
    assert bridge.metric("feed_bridge_list_failures_total", list="precomputed", trouble="unreadable") == 1


async def test_it_is_off_unless_it_is_switched_on(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    scorer.take("acts = [{ model_missing = true }]")
    async with start_bridge(scorer.target) as running:
        give(tmp_path, OWN)
        assert (await running.page()).source == pb.TRENDING
        assert running.metric(SKIPPED, rung="precomputed", why="none") == 0


@asynccontextmanager
async def hung_server() -> AsyncIterator[int]:
    """A server that takes connections and never says a word, as a stopped PostgreSQL does."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: held.append(writer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in held:
        writer.close()
    await server.wait_closed()


async def test_a_database_that_hangs_is_asked_by_a_few_and_left_alone() -> None:
    async with hung_server() as port:
        database = Database(f"postgresql://nobody@127.0.0.1:{port}/feed", pool_size=2)
        policy = PersonalPolicy(reads=2, patience=9)
        clock = FakeClock()
        rung = PersonalRung(DatabaseUserLists(database), policy, clock, Recorder())

        async def why() -> Skip:
            step = await rung.step("u1", Conditions(), FallbackReason.DEADLINE, 1.0)
            assert isinstance(step, Skipped)
            return step.why

        assert [await why() for _ in range(4)] == [Skip.TIMEOUT, Skip.TIMEOUT, Skip.BUSY, Skip.BUSY]
        await until(why, Skip.UNAVAILABLE)  # the reads have ended by themselves
        await rung.stop()
        await database.close()


@pytest.mark.parametrize("url", ["sqlite:////nowhere/feed.db", "postgresql://nobody@127.0.0.1:1/feed"])
async def test_a_database_that_is_down_is_a_list_error(url: str) -> None:
    database = Database(url)
    with pytest.raises(ListError):
        await DatabaseUserLists(database).read("u1", 10, with_facts=False)
    await database.close()
    await drivers_ended()
