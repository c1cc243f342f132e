"""R01: the only scorer is killed and comes back; meanwhile everybody gets trending, fast."""

from tests.chaos.conftest import Reporter
from tests.chaos.rig import Rig
from tests.polling import wait_for

TARGET = "0 failed; p99 < 150 ms; open within 12 failed attempts; degraded p99 < 20 ms; back <= 2 s after SERVING"
# What trips the breaker, and two; those under way at the kill come on top.
MAX_FAILED_CALLS = 12

ATTEMPTS = "feed_bridge_attempts_total"
# Attempts of several requests may share a call, which is then one failure to the breaker.
CALLS = "feed_bridge_batch_users_count"


def test_everybody_gets_trending_while_the_only_scorer_is_dead(rig: Rig, long: bool, report: Reporter):
    scorer = rig.scorer()
    bridge = rig.bridge(scorer.target)
    with rig.under_load(bridge, long_s=60) as run:
        run.pause(10 if long else 1)
        before = run.sample()
        killed = scorer.kill()
        wait_for(bridge.moves, bool, bound_s=30)
        after = run.sample()
        run.pause(20 if long else 1)
        serving = scorer.start()
        back = run.until_page(lambda page: page.source == "LIGHTFM").time

    opened = run.opened(killed)
    degraded = run.calls.between(opened + 0.1, serving)
    answered = before.growth(after, ATTEMPTS, outcome="ok")
    failed_calls = before.growth(after, CALLS) - answered
    under_way = before.total("feed_bridge_in_flight")
    report(
        "R01",
        "only scorer SIGKILLed, back after a while",
        target=TARGET,
        met=not run.calls.refused
        and run.calls.p99_ms < 150
        and failed_calls <= MAX_FAILED_CALLS + under_way
        and degraded.p99_ms < 20
        and back - serving <= 2,
        **run.figures(),
        open_after_ms=(opened - killed) * 1000,
        open_after_failed_calls=failed_calls,
        open_after_failed_attempts=before.growth(after, ATTEMPTS) - answered,
        under_way_at_the_kill=under_way,
        degraded_p99_ms=degraded.p99_ms,
        personalised_after_s=back - serving,
    )
    run.check()
    assert "CIRCUIT_OPEN" in run.reasons
