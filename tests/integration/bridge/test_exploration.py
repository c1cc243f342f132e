"""Cold users and outages: trending pages hold new videos, and what is told of them says with which probability."""

import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fakes.scorer.server import FakeScorer
from feed.common.v1 import common_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from storage.tables import user_interactions
from tests.integration.bridge.conftest import PUBLISHED, RunningBridge, StartBridge, execute, fill, lose_database
from tests.integration.bridge.test_served import published, records

PAGE_SIZE = 20
USERS = 10
# Of the catalogue, those that do not trend; users have met half of them.
UNMET = {f"e{number:02}" for number in range(20)}
MET = [f"e{number:02}" for number in range(20, 40)]


def fill_and_meet(folder: Path) -> None:
    fill(f"sqlite:///{folder / 'feed.db'}")
    rows = [watched(video_id, number) for video_id in MET for number in range(20)]
    execute(folder, sa.insert(user_interactions).values(rows))


def watched(video_id: str, number: int) -> dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4()),
        "user_id": f"other{number}",
        "video_id": video_id,
        "interaction_type": "VIEW",
        "watch_time_s": 1.0,
        "event_time": PUBLISHED,
        "ingest_time": PUBLISHED,
    }


def ids(page: pb.GetRecommendationsResponse) -> list[str]:
    return [item.video_id for item in page.recommendations]


async def scroll(bridge: RunningBridge, user_id: str) -> list[pb.GetRecommendationsResponse]:
    """Asks for the first two pages."""
    first = await bridge.page(user_id, page_size=PAGE_SIZE)
    return [first, await bridge.page(user_id, page_size=PAGE_SIZE, page_token=first.next_page_token)]


async def test_cold_users_meet_new_videos_and_each_is_told_with_its_propensity(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    fill_and_meet(tmp_path)
    scorer.take("acts = [{ empty = true }]")
    async with start_bridge(scorer.target, exploration=0.25) as bridge:
        pages = [page for number in range(USERS) for page in await scroll(bridge, f"cold{number}")]
        await published(bridge, len(pages))

    assert {(page.source, page.fallback_reason) for page in pages} == {(pb.TRENDING, pb.EMPTY_RANKING)}
    told = {record["recommendationId"]: record for record in records(tmp_path / "eventlog")}
    for page in pages:
        record = told[page.recommendation_id]
        new = [place for place, video_id in enumerate(ids(page)) if video_id in UNMET]
        assert record.get("explored", []) == new
        assert record.get("propensities", []) == [1 / len(UNMET)] * len(new)
        assert not set(MET) & set(ids(page))
    for first, second in zip(pages[::2], pages[1::2], strict=True):
        assert len({*ids(first), *ids(second)}) == 2 * PAGE_SIZE
    assert sum(len(told[page.recommendation_id].get("explored", [])) for page in pages) > USERS


async def test_new_videos_outlive_the_database_and_a_restart_and_filters_hold(
    start_bridge: StartBridge, tmp_path: Path
) -> None:
    fill_and_meet(tmp_path)
    async with start_bridge("127.0.0.1:1", exploration=0.5):
        pass
    lose_database(tmp_path)
    odd = common_pb2.VideoFilters(include_tags=["odd"], exclude_video_ids=["e01", "e03"])
    async with start_bridge("127.0.0.1:1", empty=True, exploration=0.5) as bridge:
        pages = [await bridge.page(f"u{number}", page_size=PAGE_SIZE, filters=odd) for number in range(USERS)]
        assert bridge.metric("feed_bridge_list_failures_total", list="newcomers", trouble="not_refreshed") == 1

    new = {video_id for page in pages for video_id in ids(page)} & UNMET
    assert new == {f"e{number:02}" for number in range(5, 20, 2)}, "every one that fits, and none that does not"
    assert {page.source for page in pages} == {pb.TRENDING}
