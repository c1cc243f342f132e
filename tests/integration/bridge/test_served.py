"""Every page that a bridge answers is one record on `feed.served.v1`, behind the page."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.local.process import free_port
from eventlog.adapters.journal_file import JournalFile
from eventlog.topics import SERVED
from fakes.scorer.server import FakeScorer
from feed.common.v1 import common_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.served_token import verify
from tests.integration.bridge.conftest import RunningBridge, StartBridge
from tests.polling import until


def records(path: Path) -> list[dict[str, Any]]:
    file = JournalFile(path)
    try:
        return [json.loads(record.value) for record in file.read(SERVED, 0, 10_000)]
    finally:
        file.close()


async def published(bridge: RunningBridge, count: int) -> None:
    async def answer() -> float:
        return bridge.metric("feed_bridge_served_published_total")

    await until(answer, float(count))


def told(page: pb.GetRecommendationsResponse) -> dict[str, Any]:
    """Returns what the record of a page says of it."""
    return {
        "recommendationId": page.recommendation_id,
        "feedSessionId": page.feed_session_id,
        "algorithm": page.algorithm,
        "source": pb.Source.Name(page.source),
        "fallbackReason": pb.FallbackReason.Name(page.fallback_reason),
        "modelVersion": page.model_version,
        "firstPosition": page.recommendations[0].position,
        "videoIds": [each.video_id for each in page.recommendations],
        "scores": [each.score for each in page.recommendations],
    }


def same(found: Sequence[dict[str, Any]], pages: Sequence[pb.GetRecommendationsResponse]) -> bool:
    return [{name: record[name] for name in told(page)} for record, page in zip(found, pages, strict=True)] == [
        told(page) for page in pages
    ]


async def test_each_page_of_a_scroll_is_a_record(start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path) -> None:
    async with start_bridge(scorer.target) as bridge:
        first = await bridge.page(page_size=20)
        second = await bridge.page(page_size=20, page_token=first.next_page_token)
        await published(bridge, 2)

    found = records(tmp_path / "eventlog")
    assert same(found, [first, second])
    assert [record["continued"] for record in found] == [False, True]
    assert {record["userId"] for record in found} == {"u1"}
    assert bridge.metric("feed_bridge_served_dropped_total", why="queue_full") == 0


async def test_a_fallback_page_says_its_rung_and_what_was_asked(start_bridge: StartBridge, tmp_path: Path) -> None:
    async with start_bridge(f"127.0.0.1:{free_port()}") as bridge:
        page = await bridge.page(page_size=5, filters=common_pb2.VideoFilters(include_tags=["even"]))

    (found,) = records(tmp_path / "eventlog")  # published at the latest at the end
    assert same([found], [page])
    assert found["source"] == "TRENDING"
    assert found["rung"] == "trending_global"
    assert found["filtersApplied"] == {"includeTags": ["even"]}


async def test_while_kafka_is_away_pages_come_and_their_records_are_kept(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    nobody = {"FEED_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    async with start_bridge(scorer.target, environ=nobody) as bridge:
        pages = [await bridge.page(f"u{number}") for number in range(30)]
        await published(bridge, 30)

    found = records(tmp_path / "bridge" / "served")
    assert {record["recommendationId"] for record in found} == {page.recommendation_id for page in pages}


async def test_switched_off_nothing_is_told(start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path) -> None:
    async with start_bridge(scorer.target, served_enabled=False) as bridge:
        assert (await bridge.page()).recommendations

    assert not (tmp_path / "eventlog").exists()


async def test_each_video_carries_a_proof_of_having_been_served(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    async with start_bridge(scorer.target) as bridge:
        page = await bridge.page()
    key = (tmp_path / "bridge" / "token.key").read_bytes()

    for item in page.recommendations:
        claim = {"recommendation_id": page.recommendation_id, "user_id": "u1"}
        assert verify(item.served_token, key, video_id=item.video_id, **claim)
        assert not verify(item.served_token, key, video_id="another", **claim)
