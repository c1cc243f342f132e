"""R10: four times as many requests as it can serve: what is answered is answered in time, the rest is sent away."""

import statistics
import time
from collections import Counter
from collections.abc import Sequence

from tests.chaos.conftest import Reporter
from tests.chaos.load import REFUSED, Calls, Load, closed_loop, open_loop
from tests.chaos.rig import SHORT_REFUSABLE, Rig

TARGET = "goodput >= 90 % of peak; admitted p99 < 150 ms; refusal < 5 ms; normal <= 5 s after"
PROMISE_MS = 150
# What gRPC itself says when too many calls wait for Python; the bridge never sees those (docs/decisions/0014).
REFUSED_BY_GRPC = "Canceled"
# Shown to be normal at this rate, which the slowest machine can serve.
CALM_RPS = 100
PEAK_CALLERS = 32
CALM_S = 8
# A busy machine is normal again after this.
NORMAL_AFTER_S = 6
BOUND_S = 120.0


def test_four_times_capacity_is_shed_early_and_forgotten_soon(rig: Rig, long: bool, report: Reporter):
    port = rig.bridge(rig.scorer().target).grpc_port

    def load(arguments: Sequence[str]) -> Calls:
        return Load(port, rig.folder, arguments).finish(BOUND_S)

    load(closed_loop(PEAK_CALLERS, 1))
    peak_rps = max(CALM_RPS, goodput_rps(load(closed_loop(PEAK_CALLERS, 5 if long else 2))))
    seconds = 30 if long else 3
    flood = load(open_loop(4 * peak_rps, seconds))
    ended = time.time()
    calm = load(open_loop(CALM_RPS, CALM_S))

    admitted = flood.only(lambda call: call.status == "OK")
    refused = flood.only(lambda call: call.status in {REFUSED, REFUSED_BY_GRPC})
    share = goodput_rps(flood) / peak_rps
    normal_after_s = last_abnormal(calm) - ended
    report(
        "R10",
        f"four times capacity for {seconds} s",
        target=TARGET,
        met=share >= 0.9 and admitted.p99_ms < PROMISE_MS and p50_ms(refused) < 5 and normal_after_s <= 5,
        peak_rps=peak_rps,
        offered_rps=len(flood) / lasted_s(flood),
        goodput_share=share,
        admitted_p50_ms=p50_ms(admitted),
        admitted_p99_ms=admitted.p99_ms,
        refused=len(refused),
        refused_by_grpc=len(refused.only(lambda call: call.status == REFUSED_BY_GRPC)),
        refusal_p50_ms=p50_ms(refused),
        refusal_p99_ms=refused.p99_ms,
        normal_after_s=max(0.0, normal_after_s),
    )
    assert Counter(call.status for call in flood).keys() <= {"OK", REFUSED, REFUSED_BY_GRPC, "DeadlineExceeded"}
    normal = calm.only(lambda call: call.start > ended + NORMAL_AFTER_S)
    assert normal.failed == []
    assert normal.refused <= len(normal) * (0 if long else SHORT_REFUSABLE)


def goodput_rps(calls: Calls) -> float:
    """Returns how many pages a second came in time."""
    return len(calls.only(lambda call: call.status == "OK" and call.latency_ms <= PROMISE_MS)) / lasted_s(calls)


def lasted_s(calls: Calls) -> float:
    """Returns the time from the first call to the last, in seconds."""
    starts = [call.start for call in calls]
    return max(starts) - min(starts)


def p50_ms(calls: Calls) -> float:
    """Median of the latency; 0 when there were none."""
    return statistics.median([call.latency_ms for call in calls] or [0.0])


def last_abnormal(calls: Calls) -> float:
    """Returns when the last call was made that failed or came late; long ago when none was."""
    return max((call.start for call in calls if call.status != "OK" or call.latency_ms > PROMISE_MS), default=0.0)
