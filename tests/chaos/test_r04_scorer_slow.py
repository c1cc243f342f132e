"""R04: every answer of the only scorer takes 120 ms longer: too long for an attempt, or too slow for the breaker."""

from typing import Any

import pytest

from tests.chaos.conftest import Reporter
from tests.chaos.rig import Rig

LATENCY_MS = 120
TARGET = "0 failed; open <= 2 s; p99 < 150 ms throughout; p99 < 20 ms after"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        pytest.param({}, "each attempt times out", id="timeout"),
        pytest.param({"attempt_timeout_ms": 140}, "attempts are slow but succeed", id="slow"),
    ],
)
def test_a_slow_scorer_is_left_alone(rig: Rig, long: bool, report: Reporter, settings: dict[str, Any], what: str):
    proxy = rig.proxy(rig.scorer().grpc_port)
    bridge = rig.bridge(proxy.target, **settings)
    with rig.under_load(bridge, long_s=60) as run:
        slowed = run.pause(10 if long else 1)
        proxy.add("latency", latency=LATENCY_MS)
        run.until_opened(slowed)
        healed = run.pause(30 if long else 1)
        proxy.heal()
        back = run.until_page(lambda page: page.source == "LIGHTFM", bound_s=40).time

    opened = run.opened(slowed)
    after = run.calls.between(opened + 0.2, healed)
    report(
        "R04",
        f"the only scorer +{LATENCY_MS} ms (toxiproxy): {what}",
        target=TARGET,
        met=not run.calls.refused and opened - slowed <= 2 and run.calls.p99_ms < 150 and after.p99_ms < 20,
        **run.figures(),
        open_after_ms=(opened - slowed) * 1000,
        degraded_p99_ms=after.p99_ms,
        personalised_after_s=back - healed,
    )
    run.check()
    assert "CIRCUIT_OPEN" in run.reasons
