"""R09: what a caller has left travels to the scorer, and when it leaves, the work for it ends; over real gRPC."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeAlias

import grpc

from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from runtime.request_context import REQUEST_ID_KEY
from tests.chaos.conftest import Reporter
from tests.chaos.processes import FakeScorer, Running
from tests.chaos.rig import Rig
from tests.chaos.watching import REFUSALS, read_metrics
from tests.polling import wait_for

HANGS = "[[acts]]\nhang = true\n"
# The 80 ms of the target, and deadlines around it.
DEADLINES_MS = (40, 80, 140)
CLIENT_TIMEOUT_S = 30.0
MAX_WORK_MS = 20.0
# Attempts that last, so that only the caller's leaving can end them; a breaker that opened would end them too.
PATIENT: dict[str, Any] = {"deadline_ms": 10_000, "attempt_timeout_ms": 9_000, "breaker_enabled": "false"}

Feed: TypeAlias = "recommendations_pb2_grpc.RecommendationServiceAsyncStub"  # known to type checkers only


@asynccontextmanager
async def feed_of(bridge: Running) -> AsyncIterator[Feed]:
    async with grpc.aio.insecure_channel(bridge.target) as channel:
        yield recommendations_pb2_grpc.RecommendationServiceStub(channel)


async def test_no_attempt_outlives_its_callers_deadline(rig: Rig, long: bool, report: Reporter):
    scorer = rig.fake_scorer()
    bridge = await asyncio.to_thread(rig.bridge, scorer.target, breaker_enabled="false")
    scorer.play(HANGS)
    given_ms: dict[str, float] = {}
    codes: list[grpc.StatusCode] = []

    async def ask(feed: Feed, number: int) -> None:
        request_id = f"r09-{number}"
        given_ms[request_id] = random.choice(DEADLINES_MS)
        call = feed.GetRecommendations(
            pb.GetRecommendationsRequest(user_id=f"u{number}"),
            timeout=given_ms[request_id] / 1000,
            metadata=((REQUEST_ID_KEY, request_id),),
        )
        codes.append(await call.code())

    async with feed_of(bridge) as feed:
        for first in range(0, 2_000 if long else 200, 10):
            await asyncio.gather(*(ask(feed, number) for number in range(first, first + 10)))

    attempts = [each for each in scorer.seen(last=10_000)["last"] if each["requestId"] in given_ms]
    outlive = [each for each in attempts if each["timeRemainingMs"] > given_ms[each["requestId"]]]
    in_time = codes.count(grpc.StatusCode.OK) / len(codes)
    report(
        "R09",
        "callers with 40, 80 and 140 ms, the scorer hangs",
        target="100 % of attempts have at most what their caller has left",
        met=not outlive,
        calls=len(codes),
        attempts=len(attempts),
        attempts_that_outlive=len(outlive),
        answered_in_the_callers_time=in_time,
    )
    assert attempts
    assert outlive == []
    # A machine that stands still makes the bridge refuse calls.
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED, *REFUSALS}


async def test_work_ends_when_the_caller_leaves(rig: Rig, long: bool, report: Reporter):
    scorer = rig.fake_scorer(log_level="DEBUG")
    bridge = await asyncio.to_thread(rig.bridge, scorer.target, log_level="DEBUG", **PATIENT)
    scorer.play(HANGS)
    rounds = 100 if long else 10
    async with feed_of(bridge) as feed:
        left = [await _leave(feed, scorer) for _ in range(rounds)]
    await asyncio.to_thread(wait_for, lambda: len(_ended(bridge)), lambda count: count == rounds)

    seen = scorer.seen()
    at_the_scorer_ms = [(ended - time) * 1000 for time, ended in zip(left, _ended(scorer), strict=True)]
    in_the_bridge_ms = [(ended - time) * 1000 for time, ended in zip(left, _ended(bridge), strict=True)]
    most_ms = max(*at_the_scorer_ms, *in_the_bridge_ms)
    report(
        "R09",
        "callers cancel while the scorer hangs",
        target="work in the bridge and at the scorer ends <= 20 ms after the cancel",
        met=most_ms <= MAX_WORK_MS,
        cancels=rounds,
        bridge_median_ms=statistics.median(in_the_bridge_ms),
        bridge_most_ms=max(in_the_bridge_ms),
        scorer_median_ms=statistics.median(at_the_scorer_ms),
        scorer_most_ms=max(at_the_scorer_ms),
    )
    assert (seen["ranked"], seen["abandoned"], seen["inFlight"]) == (rounds, rounds, 0), "one attempt each, given up"
    assert read_metrics(bridge.http_port).total("feed_bridge_in_flight") == 0
    assert most_ms < PATIENT["attempt_timeout_ms"] / 2, "not the leaving ended it, but the attempt's time"


async def _leave(feed: Feed, scorer: FakeScorer) -> float:
    """Has a caller leave while the scorer works for it; returns when, in Unix seconds."""
    call = feed.GetRecommendations(pb.GetRecommendationsRequest(user_id="u1"), timeout=CLIENT_TIMEOUT_S)
    await asyncio.to_thread(wait_for, lambda: scorer.seen()["inFlight"], lambda count: count == 1)
    left = time.time()
    call.cancel()
    await asyncio.to_thread(wait_for, lambda: scorer.seen()["inFlight"], lambda count: count == 0)
    return left


def _ended(process: Running) -> list[float]:
    """Returns when the calls of a process ended that were cancelled, in Unix seconds."""
    entries = process.events("rpc.ended")
    return [datetime.fromisoformat(each["timestamp"]).timestamp() for each in entries if each["code"] == "CANCELLED"]
