"""S09: one user asks fifty times as often as he may, beside others who ask for their pages."""

import time
from typing import Any, Final

import grpc

from feed.recommendations.v1 import recommendations_pb2 as pb
from tests.chaos.beside import Beside
from tests.chaos.conftest import Reporter
from tests.chaos.load import FEED, Load, open_loop
from tests.chaos.rig import GRACE_S, Rig

TARGET = "others' p99 +<= 20 %; 100 % of the excess refused with a hint when to come again"
USER: Final = "flooding"
LIMIT_RPS: Final = 5
BURST: Final = 10
EXCESS: Final = 50
RPS: Final = 50


class Flood(Beside):
    """A user who asks at a fixed rate, from `with` to its end."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._calls: list[Any] = []
        self.lasted_s = 0.0

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.hints = [_hinted(call) for call in self._calls if call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED]
        self.served = sum(call.code() is grpc.StatusCode.OK for call in self._calls)
        self._channel.close()

    def __len__(self) -> int:
        """How many calls it made."""
        return len(self._calls)

    def run(self) -> None:
        """Asks."""
        ask: Any = self._channel.unary_unary(f"/{FEED}", pb.GetRecommendationsRequest.SerializeToString)
        start = time.monotonic()
        while not self.ended.wait(max(0.0, start + len(self._calls) / (LIMIT_RPS * EXCESS) - time.monotonic())):
            self._calls.append(ask.future(pb.GetRecommendationsRequest(user_id=USER), timeout=10))
        for call in self._calls:
            call.code()
        self.lasted_s = time.monotonic() - start


def _hinted(call: Any) -> bool:
    """Whether a refusal is this one and says when to come again: within the time that a token takes."""
    trailers = dict(call.trailing_metadata())
    pushback_ms = int(trailers.get("grpc-retry-pushback-ms", -1))
    return b"USER_RATE" in trailers["grpc-status-details-bin"] and 0 <= pushback_ms <= 1_000 / LIMIT_RPS


def test_one_user_asks_far_too_often(rig: Rig, long: bool, report: Reporter):
    rig.environ = {"FEED_LIMIT_USER_RPS": str(LIMIT_RPS), "FEED_LIMIT_USER_BURST": str(BURST)}
    scorer = rig.fake_scorer()
    bridge = rig.bridge(scorer.target)
    lasts_s = 30.0 if long else 2.0
    others = open_loop(RPS, lasts_s)
    Load(bridge.grpc_port, rig.folder, open_loop(RPS, 1)).finish(GRACE_S)

    calm = Load(bridge.grpc_port, rig.folder, others).finish(lasts_s + GRACE_S)
    with Flood(bridge.grpc_port) as flood:
        beside = Load(bridge.grpc_port, rig.folder, others).finish(lasts_s + GRACE_S)

    excess = len(flood) - BURST - LIMIT_RPS * flood.lasted_s
    growth = beside.p99_ms / calm.p99_ms - 1
    report(
        "S09",
        f"one user asks {EXCESS} times as often as he may",
        target=TARGET,
        met=growth <= 0.2 and all(flood.hints) and len(flood.hints) >= excess and not beside.failed,
        asked=len(flood),
        asked_rps=len(flood) / flood.lasted_s,
        served=flood.served,
        refused_with_hint=sum(flood.hints),
        refused_share_of_excess=min(1.0, sum(flood.hints) / excess),
        others=len(beside),
        others_p99_alone_ms=calm.p99_ms,
        others_p99_beside_ms=beside.p99_ms,
        others_p99_growth=growth,
    )
    assert all(flood.hints)
    # A call may be refused for want of time, on a machine without room; it is never let through.
    assert flood.served <= BURST + LIMIT_RPS * flood.lasted_s + 1
    assert beside.failed == []
