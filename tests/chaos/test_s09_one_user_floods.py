"""S09: one user asks fifty times as often as he may, beside others who ask for their pages."""

from typing import Final

from tests.chaos.conftest import Reporter
from tests.chaos.flooding import Flood
from tests.chaos.load import Load, open_loop
from tests.chaos.rig import GRACE_S, Rig

TARGET = "others' p99 +<= 20 %; 100 % of the excess refused with a hint when to come again"
LIMIT_RPS: Final = 5
BURST: Final = 10
EXCESS: Final = 50
RPS: Final = 50


def test_one_user_asks_far_too_often(rig: Rig, long: bool, report: Reporter):
    rig.environ = {"FEED_LIMIT_USER_RPS": str(LIMIT_RPS), "FEED_LIMIT_USER_BURST": str(BURST)}
    scorer = rig.fake_scorer()
    bridge = rig.bridge(scorer.target)
    lasts_s = 30.0 if long else 2.0
    others = open_loop(RPS, lasts_s)
    Load(bridge.grpc_port, rig.folder, open_loop(RPS, 1)).finish(GRACE_S)

    calm = Load(bridge.grpc_port, rig.folder, others).finish(lasts_s + GRACE_S)
    with Flood(bridge.grpc_port, LIMIT_RPS * EXCESS, 1_000 / LIMIT_RPS) as flood:
        beside = Load(bridge.grpc_port, rig.folder, others).finish(lasts_s + GRACE_S)

    came_of = flood.came_of
    excess = came_of.asked - BURST - LIMIT_RPS * came_of.lasted_s
    growth = beside.p99_ms / calm.p99_ms - 1
    report(
        "S09",
        f"one user asks {EXCESS} times as often as he may",
        target=TARGET,
        met=growth <= 0.2 and came_of.hinted == came_of.refused >= excess and not beside.failed,
        asked=came_of.asked,
        asked_rps=came_of.asked / came_of.lasted_s,
        served=came_of.served,
        refused_with_hint=came_of.hinted,
        refused_share_of_excess=min(1.0, came_of.hinted / excess),
        others=len(beside),
        others_p99_alone_ms=calm.p99_ms,
        others_p99_beside_ms=beside.p99_ms,
        others_p99_growth=growth,
    )
    assert came_of.refused
    assert came_of.hinted == came_of.refused
    # A call may be refused for want of time, on a machine without room; it is never let through.
    assert came_of.served <= BURST + LIMIT_RPS * came_of.lasted_s + 1
    assert beside.failed == []
