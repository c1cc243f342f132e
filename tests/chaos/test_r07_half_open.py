"""R07: hundreds of callers find the breaker half-open, and its probes hang, time out, or lose their callers."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from tests.chaos.conftest import Reporter
from tests.chaos.processes import Move
from tests.chaos.rig import Rig

TARGET = "<= 3 concurrent probes at the scorer; half-open for <= 2 s each time"
CALLERS = 500
MAX_PROBES = 3
MAX_HALF_OPEN_S = 2.0
# Time moves nothing by itself, the next caller does; and a busy machine may hold that one up.
HALF_OPEN_SLACK_S = 8.0
CALLER_EVERY_S = 0.05
# Longer than the breaker stays open, with its jitter: then the crowd is what half-opens it.
QUIET_S = 0.4
PROBING_BOUND_S = 30.0
CLIENT_TIMEOUT_S = 30.0
# The whole crowd must come as far as the breaker, although it is more than can be answered in time.
COMMON = {
    "breaker_open_ms": 300,
    "breaker_open_max_ms": 300,
    "max_in_flight": 2 * CALLERS,
    "max_waiting": 4 * CALLERS,
    "max_requests": 4 * CALLERS,
    "batch_users": 1,  # so that the scorer sees each probe as a call
}

# A crowd is an overload, too.
ANSWERS = {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}

FAILS = '[[acts]]\nstatus = "UNAVAILABLE"\n'
HANGS = "[[acts]]\nhang = true\n"
# Attempts outlast probes, so that the breaker's own bound on a probe (1 s) is what ends one.
PATIENT = {"deadline_ms": 3_000, "attempt_timeout_ms": 1_100, "breaker_slow_ms": 3_000}


@dataclass(frozen=True)
class Trouble:
    """How probes end.

    Args:
        settings: Of the bridge.
        lasts_s: How long half-open lasts then, with some room.
        cancel_after_s: After how long callers leave; None: they stay.
    """

    settings: dict[str, Any]
    lasts_s: float
    cancel_after_s: float | None = None


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(Trouble(PATIENT, 1.3), id="hung"),
        pytest.param(Trouble({}, 0.3), id="timed-out"),
        pytest.param(Trouble(PATIENT, 2.3, cancel_after_s=0.1), id="cancelled"),
    ],
)
async def test_probes_are_few_and_none_is_lost(
    rig: Rig, long: bool, report: Reporter, trouble: Trouble, request: pytest.FixtureRequest
):
    scorer = rig.fake_scorer()
    bridge = await asyncio.to_thread(rig.bridge, scorer.target, **COMMON, **trouble.settings)
    async with grpc.aio.insecure_channel(bridge.target) as channel:
        callers = Callers(recommendations_pb2_grpc.RecommendationServiceStub(channel), trouble.cancel_after_s)
        scorer.play(FAILS)
        while not bridge.moves():
            await callers.one()
        scorer.play(HANGS)
        for _ in range(10 if long else 2):
            await asyncio.sleep(QUIET_S)  # so that the breaker has waited long enough: a duration, not a wait
            await callers.crowd(trouble.lasts_s, lambda: bridge.moves()[-1].new == "half-open")
        seen = scorer.seen()

    spells_s = half_open_spells_s(bridge.moves())
    report(
        "R07",
        f"{CALLERS} callers at half-open, probes {request.node.callspec.id}",
        target=TARGET,
        met=seen["mostInFlight"] <= MAX_PROBES and max(spells_s) <= MAX_HALF_OPEN_S,
        callers=callers.asked,
        failed=len(callers.failed),
        probes=seen["ranked"],
        concurrent_probes=seen["mostInFlight"],
        half_open_times=len(spells_s),
        half_open_longest_s=max(spells_s),
    )
    assert callers.failed == []
    assert 0 < seen["mostInFlight"] <= MAX_PROBES
    assert max(spells_s) <= MAX_HALF_OPEN_S + HALF_OPEN_SLACK_S


class Callers:
    """Clients of a bridge.

    Args:
        feed: Its service.
        cancel_after_s: After how long they leave; None: they stay.
    """

    def __init__(
        self, feed: "recommendations_pb2_grpc.RecommendationServiceAsyncStub", cancel_after_s: float | None
    ) -> None:
        self._feed = feed
        self._cancel_after_s = cancel_after_s
        self.asked = 0
        self.failed: list[str] = []

    async def one(self) -> None:
        """Asks for a page, or leaves before it is there."""
        self.asked += 1
        call = self._feed.GetRecommendations(
            pb.GetRecommendationsRequest(user_id=f"u{self.asked % 500 + 1}"), timeout=CLIENT_TIMEOUT_S
        )
        await asyncio.wait([asyncio.ensure_future(call)], timeout=self._cancel_after_s)
        if not call.cancel() and await call.code() not in ANSWERS:
            self.failed.append(str(await call.code()))

    async def crowd(self, lasts_s: float, probing: Callable[[], bool]) -> None:
        """Many at once, then one after the other for some time until the probing is over: calls move the breaker."""
        asking = [asyncio.create_task(self.one()) for _ in range(CALLERS)]
        end = time.monotonic() + lasts_s
        while time.monotonic() < end or (probing() and time.monotonic() < end + PROBING_BOUND_S):
            asking.append(asyncio.create_task(self.one()))
            await asyncio.sleep(CALLER_EVERY_S)
        await asyncio.gather(*asking)


def half_open_spells_s(moves: list[Move]) -> list[float]:
    """Returns how long it was half-open, each time; the last time must have ended."""
    entered = [move.time for move in moves if move.new == "half-open"]
    left = [move.time for move in moves if move.old == "half-open"]
    return [end - start for start, end in zip(entered, left, strict=True)]
