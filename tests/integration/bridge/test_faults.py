"""Every valid request is answered OK with a full page in time, whatever the scorers do (R01 to R09, in small)."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import grpc
import pytest

from fakes.scorer.catalogue import rank
from fakes.scorer.server import FakeScorer
from feed.recommendations.v1 import recommendations_pb2 as pb
from tests.integration.bridge.conftest import SCORED_VIDEOS, RunningBridge, StartBridge
from tests.polling import until

TRENDING_TOP = [f"t{number:02}" for number in range(20)]


def ids(page: pb.GetRecommendationsResponse) -> list[str]:
    return [item.video_id for item in page.recommendations]


def check_fallback(page: pb.GetRecommendationsResponse, reason: int) -> None:
    assert ids(page) == TRENDING_TOP
    assert (page.source, page.fallback_reason, page.algorithm) == (pb.TRENDING, reason, "trending")


async def open_breaker(bridge: RunningBridge) -> None:
    for _ in range(10):
        if (await bridge.page()).fallback_reason == pb.CIRCUIT_OPEN:
            return
    raise AssertionError("the breaker never opened")


async def test_a_page_of_the_model(bridge: RunningBridge, scorer: FakeScorer) -> None:
    page = await bridge.page()
    assert ids(page) == rank("u1", SCORED_VIDEOS, 20, ())[0]
    assert (page.source, page.fallback_reason, page.attempts) == (pb.LIGHTFM, pb.NONE, 1)
    assert (page.model_version, page.contract_version) == ("m1", "v2025.9")
    assert [item.position for item in page.recommendations] == list(range(1, 21))
    [asked] = scorer.ledger.last()
    assert asked.contract == "v2025.9"
    assert asked.request_id


@pytest.mark.parametrize(
    ("act", "reason", "attempts"),
    [
        pytest.param('status = "UNAVAILABLE"', pb.UNAVAILABLE, 3, id="unavailable"),
        pytest.param("hang = true", pb.DEADLINE, 3, id="hung"),
        pytest.param("latency_ms = 1000", pb.DEADLINE, 3, id="slow"),
        pytest.param("crash = true", pb.UNAVAILABLE, 1, id="crashing"),
        pytest.param('status = "RESOURCE_EXHAUSTED"', pb.OVERLOAD, 1, id="busy"),
        pytest.param("model_missing = true", pb.MODEL_MISSING, 1, id="no-model"),
        pytest.param("wrong_contract = true", pb.CONTRACT_MISMATCH, 1, id="another-contract"),
        pytest.param("empty = true", pb.EMPTY_RANKING, 1, id="unknown-user"),
    ],
)
async def test_trending_serves_with_the_true_reason(
    act: str, reason: int, attempts: int, bridge: RunningBridge, scorer: FakeScorer
) -> None:
    scorer.take(f"acts = [{{ {act} }}]")
    page = await bridge.page()
    check_fallback(page, reason)
    assert page.attempts <= attempts
    labels = {"source": "TRENDING", "fallback_reason": pb.FallbackReason.Name(page.fallback_reason)}
    assert bridge.metric("feed_bridge_requests_total", **labels) == 1
    assert bridge.metric("feed_bridge_late_total") == 0


@pytest.mark.parametrize("act", ['status = "UNAVAILABLE"', 'status = "RESOURCE_EXHAUSTED", pushback_ms = 5'])
async def test_a_retry_hides_one_failed_call(act: str, bridge: RunningBridge, scorer: FakeScorer) -> None:
    scorer.take(f"acts = [{{ repeat = 1, {act} }}]")
    page = await bridge.page()
    assert (page.source, page.attempts) == (pb.LIGHTFM, 2)


async def test_a_dead_scorer_costs_nobody_a_page(start_bridge: StartBridge) -> None:
    dead = FakeScorer()
    await dead.start()
    await dead.kill()
    async with start_bridge(dead.target) as bridge:
        check_fallback(await bridge.page(), pb.UNAVAILABLE)
        await open_breaker(bridge)
        check_fallback(await bridge.page(), pb.CIRCUIT_OPEN)
        assert bridge.metric("feed_bridge_breaker_state", target=dead.target) == 2
        assert bridge.app.not_ready() is None  # a missing scorer is no reason


async def test_a_killed_scorer_is_back_soon_after_it_returns(start_bridge: StartBridge, scorer: FakeScorer) -> None:
    """R01: personalised within 2 s after SERVING, though the breaker's own wait is longer by then."""
    async with start_bridge(scorer.target, breaker_open_ms=4000) as bridge:
        await scorer.kill()
        await open_breaker(bridge)
        await until(lambda: serving(bridge, scorer), expected=0.0)
        await until(lambda: attempted(bridge), expected=True)  # that probe failed: open for 6.4 s at least
        await scorer.start()
        for _ in range(3):
            await until(lambda: source(bridge), expected="LIGHTFM", bound_s=6)
        moved = {"target": scorer.target, "from": "half-open", "to": "closed"}
        assert bridge.metric("feed_bridge_breaker_transitions_total", **moved) == 1
        assert await serving(bridge, scorer) == 1


async def serving(bridge: RunningBridge, scorer: FakeScorer) -> float:
    return bridge.metric("feed_bridge_scorer_serving", target=scorer.target)


async def source(bridge: RunningBridge) -> str:
    return pb.Source.Name((await bridge.page()).source)


async def attempted(bridge: RunningBridge) -> bool:
    return (await bridge.page()).attempts > 0


async def test_half_open_lets_three_probes_through_and_closes(start_bridge: StartBridge, scorer: FakeScorer) -> None:
    """R07: of many callers at half-open, at most three reach the scorer at a time."""
    patient = {"deadline_ms": 9000, "attempt_timeout_ms": 8000, "breaker_slow_ms": 8000, "breaker_probe_ms": 8000}
    patient |= {"max_waiting": 1000}  # for a crowd that comes at once and may wait
    async with start_bridge(scorer.target, breaker_open_ms=200, **patient) as bridge:
        scorer.take('acts = [{ repeat = 10, status = "UNAVAILABLE" }, { hang = true }]')
        await open_breaker(bridge)
        asking: list[asyncio.Task[pb.GetRecommendationsResponse]] = []

        async def probing() -> int:
            asking.append(asyncio.create_task(bridge.page(timeout_s=9)))
            return scorer.ledger.in_flight

        await until(probing, 3)
        # tests/chaos has the hundreds; these are answered well within the probes' time, also by a busy machine.
        crowd = await asyncio.gather(*(bridge.page() for _ in range(100)))
        reasons = {page.fallback_reason for page in crowd}
        assert pb.CIRCUIT_OPEN in reasons
        assert reasons <= {pb.CIRCUIT_OPEN, pb.OVERLOAD}
        assert scorer.ledger.in_flight == 3
        scorer.take("")
        scorer.servicer.release()
        await asyncio.gather(*asking)
        await until(lambda: source(bridge), expected="LIGHTFM")
        assert bridge.metric("feed_bridge_breaker_state", target=scorer.target) == 0


async def test_of_two_scorers_the_other_one_serves(start_bridge: StartBridge, scorer: FakeScorer) -> None:
    async with FakeScorer() as second, start_bridge(scorer.target, second.target) as bridge:
        await bridge.page()
        await second.kill()
        pages = [await bridge.page() for _ in range(30)]
        assert {page.source for page in pages} == {pb.LIGHTFM}


async def test_more_scorers_may_be_named_than_there_are(start_bridge: StartBridge, scorer: FakeScorer) -> None:
    """So that their number may follow their load: those that come are found, and nobody notices those that go."""
    async with FakeScorer() as spare:
        await spare.kill()
        async with start_bridge(scorer.target, spare.target) as bridge:
            await until(lambda: serving(bridge, spare), expected=0.0)
            pages = [await bridge.page() for _ in range(30)]
            assert {(page.source, page.attempts) for page in pages} == {(pb.LIGHTFM, 1)}

            await spare.start()
            await until(lambda: asked(bridge, spare), expected=True, bound_s=10)
            spare.take('acts = [{ health = "NOT_SERVING" }]')  # as one says that drains
            await until(lambda: serving(bridge, spare), expected=0.0)
            await spare.kill()
            pages = [await bridge.page() for _ in range(30)]
            assert {page.source for page in pages} == {pb.LIGHTFM}
            assert bridge.metric("feed_bridge_breaker_state", target=spare.target) == 0


async def asked(bridge: RunningBridge, scorer: FakeScorer) -> bool:
    assert (await bridge.page()).source == pb.LIGHTFM
    return scorer.ledger.calls > 0


async def test_the_time_that_is_left_travels_to_the_scorer(start_bridge: StartBridge, scorer: FakeScorer) -> None:
    """R09: no call may outlive the caller's own deadline."""
    patient = {"deadline_ms": 9000, "attempt_timeout_ms": 8000, "fallback_reserve_ms": 1000}
    async with start_bridge(scorer.target, **patient) as bridge:
        scorer.take("acts = [{ hang = true }]")
        page = await bridge.page(timeout_s=1.5)
        assert page.fallback_reason == pb.DEADLINE
        assert 0 < page.budget_left_ms <= 1500
        remaining_ms = [asked.time_remaining_ms for asked in scorer.ledger.last()]
        assert remaining_ms
        assert all(left_ms is not None and left_ms <= 500 for left_ms in remaining_ms)  # less the reserve of 1 s


async def test_a_caller_that_leaves_stops_the_work(bridge: RunningBridge, scorer: FakeScorer) -> None:
    scorer.take("acts = [{ hang = true }]")
    call = bridge.stub.GetRecommendations(pb.GetRecommendationsRequest(user_id="u1"), timeout=5)

    async def at_work() -> tuple[int, int]:
        return scorer.ledger.in_flight, bridge.app.service.in_flight

    await until(at_work, (1, 1))
    call.cancel()
    await until(at_work, (0, 0))
    with pytest.raises(asyncio.CancelledError):
        await call
    assert scorer.ledger.calls == 1  # and no retry for nobody


async def test_cancelled_calls_do_not_open_the_breaker(start_bridge: StartBridge, scorer: FakeScorer) -> None:
    async with start_bridge(scorer.target, deadline_ms=5000, attempt_timeout_ms=4000) as bridge:
        scorer.take("acts = [{ hang = true }]")
        for number in range(12):
            call = bridge.stub.GetRecommendations(pb.GetRecommendationsRequest(user_id="u1"), timeout=5)
            await until(lambda: calls(scorer), expected=number + 1)
            call.cancel()

        async def ignored() -> float:
            return bridge.metric("feed_bridge_attempts_total", target=scorer.target, outcome="cancelled")

        await until(ignored, 12.0)
        assert bridge.metric("feed_bridge_breaker_state", target=scorer.target) == 0


async def calls(scorer: FakeScorer) -> int:
    return scorer.ledger.calls


async def test_too_many_at_once_are_served_trending(start_bridge: StartBridge, scorer: FakeScorer) -> None:
    async with start_bridge(scorer.target, max_in_flight=2) as bridge:
        scorer.take("acts = [{ latency_ms = 30 }]")
        pages = await asyncio.gather(*(bridge.page() for _ in range(8)))
        assert scorer.ledger.most_in_flight <= 2
        assert {page.fallback_reason for page in pages} == {pb.NONE, pb.OVERLOAD}


async def test_a_fallback_is_logged_once_a_second_and_reason_and_counted(
    bridge: RunningBridge, scorer: FakeScorer, logs: list[MutableMapping[str, Any]]
) -> None:
    scorer.take("acts = [{ empty = true }]")
    first, *_ = [await bridge.page() for _ in range(5)]
    events = [entry for entry in logs if entry["event"] == "feed.recommendation.fallback"]
    assert {**events[0], "elapsed_ms": 0} == {
        "event": "feed.recommendation.fallback",
        "log_level": "warning",
        "reason": "EMPTY_RANKING",
        "rung": "trending_global",
        "skipped": {},
        "algorithm_wanted": "lightfm",
        "feed_session_id": first.feed_session_id,
        "recommendation_id": first.recommendation_id,
        "attempts": 1,
        "elapsed_ms": 0,
        "suppressed": 0,
    }
    assert len(events) < 5
    assert bridge.metric("feed_bridge_fallback_rungs_total", rung="trending_global", reason="EMPTY_RANKING") == 5


async def test_without_a_scorer_nothing_is_explained_and_pages_still_come(
    bridge: RunningBridge, scorer: FakeScorer
) -> None:
    asked = pb.ExplainRecommendationRequest(user_id="u1", video_id=rank("u1", SCORED_VIDEOS, 1, ())[0][0])
    assert (await bridge.stub.ExplainRecommendation(asked)).score == 1.0
    await scorer.kill()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bridge.stub.ExplainRecommendation(asked)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    page = await bridge.page(explain=True)
    assert {item.explanation for item in page.recommendations} == {"trending now"}
