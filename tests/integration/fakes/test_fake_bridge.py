"""Each answer that the fake bridge can give, as a client team sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest

from fakes.bridge.server import FakeBridge
from fakes.scorer.catalogue import rank
from fakes.script.reading import read
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from runtime.settings import SettingsError
from tests.http import Answer, call

# The policy of production, stretched: a busy test machine may stop a process for longer than its 10 ms of reserve.
ROOMY = {
    "FEED_BRIDGE_DEADLINE_MS": "600",
    "FEED_BRIDGE_ATTEMPT_TIMEOUT_MS": "150",
    "FEED_BRIDGE_FALLBACK_RESERVE_MS": "250",
    "FEED_BRIDGE_PRECOMPUTED_TIMEOUT_MS": "200",
}
TRENDING_TOP = ["v1", "v2", "v3"]
NEWEST = ["v1000", "v999", "v998"]


class Client:
    """A client of a fake bridge."""

    def __init__(self, fake: FakeBridge, channel: grpc.aio.Channel) -> None:
        self.fake = fake
        self.stub = recommendations_pb2_grpc.RecommendationServiceStub(channel)

    async def page(self, user_id: str = "u1", timeout_s: float = 5.0, **fields: Any) -> pb.GetRecommendationsResponse:
        request = pb.GetRecommendationsRequest(user_id=user_id, page_size=3, **fields)
        return await self.stub.GetRecommendations(request, timeout=timeout_s)

    async def rest(self, **parameters: str) -> Answer:
        return await call(self.fake.http_port, "GET", f"/feed/recommendations?{urlencode(parameters)}")

    async def put(self, script: str) -> Answer:
        return await call(self.fake.http_port, "PUT", "/script", script.encode())


Start = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def start() -> Start:
    """Starts a fake bridge with a script."""

    @asynccontextmanager
    async def start(script: str = "", **environ: str) -> AsyncIterator[Client]:
        fake = FakeBridge(read(script, bridge=True), environ={**ROOMY, **environ})
        async with fake, grpc.aio.insecure_channel(f"127.0.0.1:{fake.port}") as channel:
            yield Client(fake, channel)

    return start


def ids(page: pb.GetRecommendationsResponse) -> list[str]:
    return [item.video_id for item in page.recommendations]


async def test_without_a_script_the_model_serves(start: Start) -> None:
    async with start() as client:
        page = await client.page()
        assert ids(page) == rank("u1", 1_000, 3, ())[0]
        assert (page.source, page.fallback_reason, page.attempts) == (pb.LIGHTFM, pb.NONE, 1)
        assert page.model_version == "fake-2"
        further = await client.page(page_token=page.next_page_token)
        assert ids(page) + ids(further) == rank("u1", 1_000, 6, ())[0]
        assert (await client.rest(userId="u1", pageSize="3")).json["source"] == "LIGHTFM"


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        pytest.param("hang = true", pb.DEADLINE, id="hang"),
        pytest.param("latency_ms = 5000", pb.DEADLINE, id="latency"),
        pytest.param('status = "UNAVAILABLE"', pb.UNAVAILABLE, id="status"),
        pytest.param("reset = true", pb.UNAVAILABLE, id="reset"),
        pytest.param("half = true", pb.UNAVAILABLE, id="half"),
        pytest.param("crash = true", pb.UNAVAILABLE, id="crash"),
        pytest.param("ragged = true", pb.UNAVAILABLE, id="ragged"),
        pytest.param("nan = true", pb.UNAVAILABLE, id="nan"),
        pytest.param('status = "RESOURCE_EXHAUSTED"', pb.OVERLOAD, id="overload"),
        pytest.param("empty = true", pb.EMPTY_RANKING, id="empty"),
        pytest.param("wrong_contract = true", pb.CONTRACT_MISMATCH, id="contract"),
        pytest.param("model_missing = true", pb.MODEL_MISSING, id="no-model"),
    ],
)
async def test_a_troubled_scorer_gives_trending_with_the_reason(act: str, reason: int, start: Start) -> None:
    """docs/fakes.md promises this table."""
    async with start(f"acts = [{{ {act} }}]") as client:
        page = await client.page()
        assert (ids(page), page.source, page.fallback_reason) == (TRENDING_TOP, pb.TRENDING, reason)


@pytest.mark.parametrize(
    ("script", "attempts", "model"),
    [
        pytest.param('acts = [{ repeat = 1, status = "UNAVAILABLE" }]', 2, "fake-2", id="retried"),
        pytest.param(
            'acts = [{ repeat = 1, status = "RESOURCE_EXHAUSTED", pushback_ms = 5 }]', 2, "fake-2", id="pushed-back"
        ),
        pytest.param("acts = [{ latency_ms = 5 }]", 1, "fake-2", id="slow"),
        pytest.param("acts = [{ duplicates = true }]", 1, "fake-2", id="duplicates"),
        pytest.param("acts = [{ stale_model = true }]", 1, "fake-1", id="stale"),
    ],
)
async def test_the_model_serves_all_the_same(script: str, attempts: int, model: str, start: Start) -> None:
    async with start(script) as client:
        page = await client.page()
        assert (page.source, page.attempts, page.model_version) == (pb.LIGHTFM, attempts, model)
        assert len(set(ids(page))) == 3


async def test_an_outage_opens_the_breaker(start: Start) -> None:
    async with start('acts = [{ status = "UNAVAILABLE" }]') as client:
        reasons = [(await client.page()).fallback_reason for _ in range(12)]
    assert pb.UNAVAILABLE in reasons
    assert reasons[-1] == pb.CIRCUIT_OPEN


@pytest.mark.parametrize(
    ("fallback", "source", "top"),
    [
        pytest.param("precomputed", pb.PRECOMPUTED, ["v8", "v9", "v10"], id="precomputed"),
        pytest.param("trending", pb.TRENDING, TRENDING_TOP, id="trending"),
        pytest.param("editorial", pb.EDITORIAL, NEWEST, id="editorial"),
        pytest.param("nothing", pb.TRENDING, [], id="nothing"),
    ],
)
async def test_the_script_says_what_there_is_to_fall_back_on(
    fallback: str, source: int, top: list[str], start: Start
) -> None:
    async with start(f'fallback = "{fallback}"\nacts = [{{ empty = true }}]') as client:
        page = await client.page()
        assert (ids(page), page.source, page.fallback_reason) == (top, source, pb.EMPTY_RANKING)
        refused = await client.put('fallback = "trending"')
        assert (refused.status == 200) is (fallback == "trending")
        if refused.status != 200:
            assert refused.json["detail"] == f"fallback: stays {fallback} until the fake is started anew"


async def test_filters_and_countries_hold_on_the_invented_lists(start: Start) -> None:
    async with start("acts = [{ empty = true }]") as client:
        answer = await client.rest(userId="u1", pageSize="3", languages="de")
        assert [item["videoId"] for item in answer.json["recommendations"]] == ["v1", "v5", "v9"]
        abroad = await client.rest(userId="u1", pageSize="1", country="DE")
        assert [item["videoId"] for item in abroad.json["recommendations"]] == ["v21"]


async def test_a_small_catalogue_is_enough(start: Start) -> None:
    async with start("videos = 2\nacts = [{ empty = true }]") as client:
        assert ids(await client.page()) == ["v1", "v2"]


async def test_an_answer_instead_of_the_page(start: Start) -> None:
    answer = '{ answer = { status = "RESOURCE_EXHAUSTED", retry_after_ms = 2000, reason = "BUSY", message = "later" } }'
    async with start(f"pages = [{answer}]") as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.page()
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
        assert dict(caught.value.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "2000"
        rest = await client.rest(userId="u1")
        assert (rest.status, rest.headers["retry-after"], rest.json["reason"]) == (429, "2", "BUSY")
        assert client.fake.scorer.ledger.calls == 0


@pytest.mark.parametrize(
    ("status", "http"),
    [("UNAVAILABLE", 503), ("UNAUTHENTICATED", 401), ("INTERNAL", 500), ("DEADLINE_EXCEEDED", 504), ("NOT_FOUND", 404)],
)
async def test_a_status_has_its_http_status(status: str, http: int, start: Start) -> None:
    async with start(f'pages = [{{ answer = {{ status = "{status}" }} }}]') as client:
        assert (await client.rest(userId="u1")).status == http
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.page()
        assert caught.value.code().name == status


async def test_a_late_page_comes_after_the_clients_own_deadline(start: Start) -> None:
    async with start("pages = [{ late = true, repeat = 2 }]") as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.page(timeout_s=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        assert (await client.page()).source == pb.LIGHTFM
        assert loop.time() - start_s >= 0.649  # its 600 ms and 50 more; only a lower bound can be sure
        assert (await client.page()).source == pb.LIGHTFM


async def test_a_slow_page_takes_its_time_and_no_less(start: Start) -> None:
    async with start("pages = [{ latency_ms = [120, 150] }]") as client:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        await client.page()
        assert loop.time() - start_s >= 0.119


async def test_bad_requests_and_tokens_are_refused_as_by_the_real_one(start: Start) -> None:
    async with start() as client:
        answer = await client.rest(userId="", colour="red")
        assert (answer.status, len(answer.json["violations"])) == (400, 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.page(page_token="AAAA")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as explained:
            await client.stub.ExplainRecommendation(pb.ExplainRecommendationRequest(user_id="u", video_id="v 1"))
        assert explained.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_video_is_explained(start: Start) -> None:
    async with start() as client:
        (item, *_) = (await client.page(explain=True)).recommendations
        told = await client.stub.ExplainRecommendation(
            pb.ExplainRecommendationRequest(user_id="u1", video_id=item.video_id)
        )
        assert [(part.component, part.value) for part in item.reasons] == [("user_item", item.score)]
        assert (told.score, list(told.reasons)) == (item.score, list(item.reasons))


async def test_the_control_is_on_the_bridges_port(start: Start) -> None:
    async with start() as client:
        assert (await client.put("acts = [{ model_missing = true }]")).json == {"acts": 1, "pages": 0}
        assert (await client.page()).fallback_reason == pb.MODEL_MISSING
        wrong = await client.put("pages = [{ lat = true }]")
        assert wrong.json["detail"] == "pages[0].lat: unknown field; did you mean late?"
        told = (await call(client.fake.http_port, "GET", "/calls")).json
        assert (told["ranked"], told["rankedByAct"]) == (1, {"model_missing": 1})
        metrics = (await call(client.fake.http_port, "GET", "/metrics")).text
        assert 'feed_bridge_requests_total{fallback_reason="MODEL_MISSING",source="TRENDING"} 1.0' in metrics
        assert 'feed_fake_scorer_ranked_total{act="model_missing"} 1.0' in metrics


async def test_a_wrong_setting_of_the_bridge_is_named(start: Start) -> None:
    with pytest.raises(SettingsError, match="FEED_BRIDGE_DEADLINE_MS='never'"):
        async with start(FEED_BRIDGE_DEADLINE_MS="never"):
            pass
