"""R06: every call fails for as long as it lasts; the scorer's own count says how many attempts reached it."""

import time

import pytest

from tests.chaos.conftest import Reporter
from tests.chaos.rig import Rig
from tests.polling import wait_for

TARGET = "0 failed; attempts at the scorer <= 1.15 x requests"
MAX_ATTEMPTS_A_REQUEST = 1.15

# The retry budget's own terms: a tenth of the requests, 5 a second, and what it holds at first. From 300 requests a
# second and some 6 seconds on that is less than 1.15 x; the short form has fewer.
SHORT_TARGET = "0 failed; attempts at the scorer <= 1.1 x requests + 5/s + 50"
RATIO, PER_S, CAPACITY = 0.1, 5.0, 50.0


@pytest.mark.parametrize("breaker", [pytest.param(False, id="breaker-off"), pytest.param(True, id="breaker-on")])
def test_an_outage_is_not_amplified(rig: Rig, long: bool, report: Reporter, breaker: bool):
    scorer = rig.fake_scorer()
    bridge = rig.bridge(scorer.target, breaker_enabled=str(breaker).lower())
    expected = {"CIRCUIT_OPEN"} if breaker else {"UNAVAILABLE", "RETRY_BUDGET"}
    with rig.under_load(bridge, long_s=60) as run:
        scorer.play('[[acts]]\nstatus = "UNAVAILABLE"\n')
        start = time.time()
        run.pause(60 if long else 4)
        wait_for(lambda: run.reasons, lambda reasons: reasons >= expected)
    attempts = scorer.seen()["ranked"]
    elapsed_s = time.time() - start

    requests = len(run.calls) - run.calls.refused + sum(page.time >= start for page in run.watch.pages)
    budget = requests * (1 + RATIO) + PER_S * elapsed_s + CAPACITY + 1
    amplified = attempts > requests * MAX_ATTEMPTS_A_REQUEST
    strict = long or breaker
    report(
        "R06",
        f"every call fails, breaker {'on' if breaker else 'switched off'}",
        target=TARGET if strict else SHORT_TARGET,
        met=not amplified if strict else attempts <= budget,
        **run.figures(),
        attempts=attempts,
        attempts_a_request=attempts / requests,
    )
    run.check()
    assert attempts <= budget
    if breaker:
        assert not amplified
    else:
        assert attempts > requests, "nothing was retried: this shows nothing"
