"""R02: one of two scorers is killed; the other one serves, and hardly anybody gets less than the model's page."""

from tests.chaos.conftest import Reporter
from tests.chaos.rig import Rig

TARGET = "0 failed; degraded <= 0.5 % in the first second; p99 < 150 ms"
MAX_DEGRADED_SHARE = 0.005

REQUESTS = "feed_bridge_requests_total"


def test_the_other_scorer_serves(rig: Rig, long: bool, report: Reporter):
    first, second = rig.scorer(), rig.scorer()
    bridge = rig.bridge(first.target, second.target)
    with rig.under_load(bridge, long_s=60) as run:
        run.pause(10 if long else 1)
        before = run.sample()
        first.kill()
        run.pause(1)
        after = run.sample()
        run.until_page(lambda page: page.source == "LIGHTFM")
        run.pause(20 if long else 1)
        first.start()

    served = before.growth(after, REQUESTS)
    degraded = served - before.growth(after, REQUESTS, source="LIGHTFM")
    report(
        "R02",
        "1 of 2 scorers SIGKILLed",
        target=TARGET,
        met=not run.calls.refused and degraded <= served * MAX_DEGRADED_SHARE and run.calls.p99_ms < 150,
        **run.figures(),
        degraded_share_in_first_second=degraded / served,
    )
    run.check()
