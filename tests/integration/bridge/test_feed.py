"""The feed as a client sees it: paging, filters, refusals, REST, files, readiness."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest
import sqlalchemy as sa

from fakes.scorer.catalogue import rank
from fakes.scorer.server import FakeScorer
from feed.common.v1 import common_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.metrics import LATENCY_BUCKETS_S
from runtime.secrets import secret_ring
from runtime.served_token import verify
from storage.tables import trending, videos
from tests.http import Answer, call
from tests.integration.bridge.conftest import (
    SCORED_VIDEOS,
    RunningBridge,
    StartBridge,
    execute,
    fill,
    lose_database,
)
from tests.polling import until


def ids(page: pb.GetRecommendationsResponse) -> list[str]:
    return [item.video_id for item in page.recommendations]


async def get(bridge: RunningBridge, *parameters: tuple[str, str]) -> Answer:
    return await call(bridge.service.http_port, "GET", f"/feed/recommendations?{urlencode(parameters)}")


async def test_a_scroll_survives_a_restart_a_new_model_and_a_dead_scorer(
    start_bridge: StartBridge, scorer: FakeScorer
) -> None:
    async with start_bridge(scorer.target) as bridge:
        first = await bridge.page()
        scorer.take('model_version = "m2"')
        second = await bridge.page(page_token=first.next_page_token)
    await scorer.kill()
    async with start_bridge(scorer.target) as restarted:
        third = await restarted.page(page_token=second.next_page_token)
    shown = ids(first) + ids(second) + ids(third)
    assert shown == rank("u1", SCORED_VIDEOS, SCORED_VIDEOS, ())[0]
    assert {page.model_version for page in (first, second, third)} == {"m1"}
    assert scorer.ledger.calls == 1


async def test_the_secret_of_tokens_changes_without_a_restart(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_ring, "_SETTLE_S", 0.0)
    path = tmp_path / "bridge" / "token.key"
    async with start_bridge(scorer.target) as bridge:
        before = await bridge.page()
        secret_ring.rotate(path, keep=True)
        new, _ = secret_ring.read(path)

        async def signed_anew() -> bool:
            page = await bridge.page()
            item = page.recommendations[0]
            claim = {"recommendation_id": page.recommendation_id, "user_id": "u1", "video_id": item.video_id}
            return verify(item.served_token, new, **claim)

        await until(signed_anew, expected=True)
        after = await bridge.page(page_token=before.next_page_token)
        rest = await bridge.page(page_token=after.next_page_token)
    assert ids(before) + ids(after) + ids(rest) == rank("u1", SCORED_VIDEOS, SCORED_VIDEOS, ())[0]


def altered(token: str) -> str:
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[40] ^= 1
    return base64.urlsafe_b64encode(bytes(raw)).decode()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(lambda token: {"page_token": altered(token)}, "altered", id="altered"),
        pytest.param(lambda _token: {"page_token": "AAAA"}, "not a page token", id="made-up"),
        pytest.param(lambda token: {"page_token": token, "user_id": "u2"}, "another user", id="foreign"),
        pytest.param(lambda token: {"page_token": token, "feed_session_id": "x"}, "another feed session", id="session"),
        pytest.param(
            lambda token: {"page_token": token, "filters": common_pb2.VideoFilters(max_duration_s=5)},
            "other filters",
            id="other-filters",
        ),
        pytest.param(lambda _token: {"page_token": "A" * 16_385}, "16384", id="too-long"),
    ],
)
async def test_a_token_that_is_not_good_is_refused_with_its_reason(
    change: Callable[[str], dict[str, Any]], text: str, bridge: RunningBridge
) -> None:
    token = (await bridge.page()).next_page_token
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bridge.page(**change(token))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith("pageToken: ")
    assert text in str(caught.value.details())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param({"user_id": ""}, "userId: must be 1 to 128 characters", id="no-user"),
        pytest.param({"user_id": "a b"}, "userId: must be 1 to 128 characters", id="a-bad-user"),
        pytest.param({"page_size": -1}, "pageSize", id="a-negative-page"),
        pytest.param({"page_size": 101}, "pageSize", id="a-huge-page"),
    ],
)
async def test_a_wrong_field_is_named(
    fields: dict[str, Any], text: str, bridge: RunningBridge, scorer: FakeScorer
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bridge.page(**fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert text in str(caught.value.details())
    assert scorer.ledger.calls == 0


async def test_filters_hold_when_trending_serves(bridge: RunningBridge, scorer: FakeScorer) -> None:
    scorer.take("acts = [{ empty = true }]")
    filters = common_pb2.VideoFilters(include_tags=["odd"], exclude_video_ids=["t01"])
    page = await bridge.page(page_size=5, filters=filters)
    assert ids(page) == ["t03", "t05", "t07", "t09", "t11"]


async def test_only_active_videos_of_the_catalogue_trend(bridge: RunningBridge, scorer: FakeScorer) -> None:
    scorer.take("acts = [{ empty = true }]")
    assert not {"gone", "invented"} & set(ids(await bridge.page(page_size=100)))


async def test_a_bare_user_gets_a_full_page_of_new_videos_when_nothing_trends(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    scorer.take("acts = [{ empty = true }]")
    async with start_bridge(scorer.target):
        pass
    execute(tmp_path, sa.delete(trending))
    async with start_bridge(scorer.target) as bridge:
        page = await bridge.page()
    assert ids(page) == [f"e{number:02}" for number in range(39, 19, -1)]
    assert (page.source, page.fallback_reason) == (pb.EDITORIAL, pb.EMPTY_RANKING)


async def test_the_operators_list_comes_before_the_newest(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    scorer.take("acts = [{ empty = true }]")
    chosen = tmp_path / "chosen.json"
    chosen.write_text(json.dumps(["e05", "gone", "e01", "nowhere"]))
    async with start_bridge(scorer.target, editorial_path=chosen) as bridge:
        rung = bridge.app.lists.rungs("")[-1]
    assert list(rung.video_ids) == ["e05", "e01"]


async def test_trending_outlives_the_database_and_a_restart(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    async with start_bridge(scorer.target):
        pass
    await scorer.kill()
    lose_database(tmp_path)
    async with start_bridge(scorer.target, empty=True) as bridge:
        page = await bridge.page()
        assert ids(page) == [f"t{number:02}" for number in range(20)]
        assert bridge.metric("feed_bridge_list_failures_total", list="trending", trouble="not_refreshed") >= 1
        assert 0 < bridge.metric("feed_bridge_trending_age_seconds") < 600


async def test_new_trends_come_by_themselves(start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path) -> None:
    scorer.take("acts = [{ empty = true }]")
    async with start_bridge(scorer.target, trending_refresh_ms=100) as bridge:
        execute(tmp_path, sa.update(trending).where(trending.c.video_id == "t39").values(weight=500.0))

        async def top() -> str:
            return ids(await bridge.page(page_size=1))[0]

        await until(top, "t39")


async def test_a_bridge_is_ready_when_it_has_something_to_serve(start_bridge: StartBridge, tmp_path: Path) -> None:
    async with start_bridge("127.0.0.1:1", empty=True, trending_refresh_ms=100) as bridge:
        port = bridge.service.http_port
        answer = await call(port, "GET", "/readyz")
        assert (answer.status, answer.json["reason"]) == (503, "no trending and no editorial list yet")
        assert ids(await bridge.page()) == []
        fill(f"sqlite:///{tmp_path / 'feed.db'}")

        async def status() -> int:
            return (await call(port, "GET", "/readyz")).status

        await until(status, 200)


async def test_rest_answers_with_the_contracts_json(bridge: RunningBridge, tmp_path: Path) -> None:
    answer = await get(bridge, ("userId", "u1"), ("pageSize", "2"), ("feedSessionId", "mine"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    page = answer.json
    (best, next_best), _ = rank("u1", SCORED_VIDEOS, 2, ())
    proofs = [item.pop("servedToken") for item in page["recommendations"]]
    assert page["recommendations"] == [
        {"videoId": best, "score": 1.0, "position": 1, "reasons": [], "explanation": ""},
        {"videoId": next_best, "score": 0.5, "position": 2, "reasons": [], "explanation": ""},
    ]
    served = {"recommendation_id": page["recommendationId"], "user_id": "u1"}
    key = (tmp_path / "bridge" / "token.key").read_bytes()
    for proof, video_id in zip(proofs, (best, next_best), strict=True):
        assert verify(proof, key, video_id=video_id, **served)
    assert (page["source"], page["fallbackReason"], page["feedSessionId"]) == ("LIGHTFM", "NONE", "mine")
    assert (page["experiments"], page["contractVersion"], page["attempts"]) == ([], "v2025.9", 1)
    assert page["budgetLeftMs"] > 0
    second = await get(bridge, ("userId", "u1"), ("pageSize", "2"), ("pageToken", page["nextPageToken"]))
    assert [item["position"] for item in second.json["recommendations"]] == [3, 4]
    assert second.json["attempts"] == 0


async def test_rest_says_a_problem_by_parameter(bridge: RunningBridge) -> None:
    answer = await get(bridge, ("userId", "u1"), ("pageSize", "many"), ("colour", "red"))
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [each["field"] for each in answer.json["violations"]] == ["pageSize", "colour"]
    refused = await get(bridge, ("userId", "u1"), ("pageToken", "x"))
    assert (refused.status, refused.json["violations"][0]["field"]) == (400, "pageToken")


async def test_the_metrics_name_every_part(bridge: RunningBridge, scorer: FakeScorer) -> None:
    await bridge.page()
    text = (await call(bridge.service.http_port, "GET", "/metrics")).text
    for line in (
        'feed_bridge_requests_total{fallback_reason="NONE",source="LIGHTFM"} 1.0',
        f'feed_bridge_attempts_total{{outcome="ok",target="{scorer.target}"}} 1.0',
        f'feed_bridge_breaker_state{{target="{scorer.target}"}} 0.0',
        "feed_bridge_in_flight 0.0",
        "feed_bridge_retry_budget_tokens 50.0",
        "feed_bridge_late_total 0.0",
    ):
        assert line in text
    assert f'le="{LATENCY_BUCKETS_S[0]}"' in text


async def test_videos_taken_off_leave_the_lists(start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path) -> None:
    scorer.take("acts = [{ empty = true }]")
    async with start_bridge(scorer.target, trending_refresh_ms=100) as bridge:
        execute(tmp_path, sa.update(videos).where(videos.c.video_id == "t00").values(is_active=False))

        async def top() -> str:
            return ids(await bridge.page(page_size=1))[0]

        await until(top, "t01")
