"""R03: the only scorer hangs (SIGSTOP): its connection stays, nothing comes back on it."""

import signal

from tests.chaos.conftest import Reporter
from tests.chaos.rig import Rig

TARGET = "0 failed; max <= 160 ms; open <= 500 ms"


def test_a_hung_scorer_is_given_up_soon(rig: Rig, long: bool, report: Reporter):
    scorer = rig.scorer()
    bridge = rig.bridge(scorer.target)
    with rig.under_load(bridge, long_s=60) as run:
        run.pause(10 if long else 1)
        hung = scorer.send(signal.SIGSTOP)
        run.until_opened(hung)
        run.pause(30 if long else 1)
        awake = scorer.send(signal.SIGCONT)
        back = run.until_page(lambda page: page.source == "LIGHTFM").time

    opened = run.opened(hung)
    report(
        "R03",
        "the only scorer hung (SIGSTOP)",
        target=TARGET,
        met=not run.calls.refused and run.calls.max_ms <= 160 and opened - hung <= 0.5,
        **run.figures(),
        open_after_ms=(opened - hung) * 1000,
        degraded_p99_ms=run.calls.between(opened + 0.1, awake).p99_ms,
        personalised_after_s=back - awake,
    )
    run.check()
    assert "CIRCUIT_OPEN" in run.reasons
