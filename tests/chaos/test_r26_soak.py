"""R26: half an hour of pages and events, or as long as SOAK_S says: nothing grows, leaks files or holds up its loop."""

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.conftest import Reporter
from tests.chaos.events import Stream
from tests.chaos.load import Load, open_loop
from tests.chaos.sending import Sender, new_run
from tests.chaos.watching import Sample, read_metrics
from tests.conftest import SYSTEMS, running_system
from tests.system import HTTP, System

TARGET: Final = "<= 1 MB/h after warm-up; fds flat; loop-lag p99 < 10 ms; 0 failed"
LAG: Final = "feed_process_loop_lag_seconds"
# What comes and goes with connections, reads at a time and the newest segment of a log.
FEW_FDS: Final = 10
GRACE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Soak:
    """How much, and for how long.

    Args:
        seconds: How long the load lasts.
        every_s: Time between two looks at each process.
        rps: Pages a second.
        rate: Events a second.
    """

    seconds: float
    every_s: float
    rps: float
    rate: float


SHORT: Final = Soak(seconds=12.0, every_s=1.0, rps=30, rate=100)
# What two cores carry for as long as one likes, with whoever asks on them too.
LONG: Final = Soak(seconds=float(os.environ.get("SOAK_S", "1800")), every_s=10.0, rps=150, rate=300)
# What is remembered within bounds is full before it is watched: what grows after that grows for ever.
SMALL_MEMORIES: Final = {"FEED_BRIDGE_RECENT_EVENTS": "5000", "FEED_BRIDGE_HISTORY_MB": "5"}


# In full on both; what is sent is nobody's, so that no test after it may find it in a system.
@pytest.fixture(
    params=[SYSTEMS[0], pytest.param(*SYSTEMS[1].values, marks=[*SYSTEMS[1].marks, pytest.mark.long], id="real")]
)
def soaked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of its own."""
    with running_system(request, tmp_path_factory, **SMALL_MEMORIES) as made:
        yield made


def test_nothing_grows(tmp_path: Path, soaked: System, long: bool, report: Reporter):
    soak = LONG if long else SHORT
    load = Load(soaked.grpc_port("bridge"), tmp_path, open_loop(soak.rps, soak.seconds))
    target = f"127.0.0.1:{soaked.grpc_port('interactions')}"
    sender = Sender(target, tmp_path, Stream(new_run()), soak.rate, drain_s=GRACE_S)
    try:
        seen = _watched(soaked, soak)
        calls, attempts = load.finish(GRACE_S), sender.stop()
    finally:
        load.stop()
        sender.kill()
    # Until then memories fill and pools open.
    steady = {name: samples[len(samples) // 3 :] for name, samples in seen.items()}

    growth = {name: _mb_an_hour(samples) for name, samples in steady.items()}
    fds = {name: _spread(samples, "process_open_fds") for name, samples in steady.items()}
    lags = {name: _p99_s(samples) for name, samples in steady.items()}
    report(
        "R26",
        f"{soak.rps:g} pages and {soak.rate:g} events a second for {soak.seconds:g} s",
        target=TARGET,
        met=max(growth.values()) <= 1
        and max(fds.values()) <= FEW_FDS
        and max(lags.values()) < 0.01
        and not calls.failed,
        calls=len(calls),
        failed=len(calls.failed),
        refused=calls.refused,
        p99_ms=calls.p99_ms,
        acknowledged=sum(each.count for each in attempts.acknowledged),
        **{f"{name}_mb_an_hour": value for name, value in growth.items()},
        **{f"{name}_fds": value for name, value in fds.items()},
        **{f"{name}_lag_p99_ms": value * 1000 for name, value in lags.items()},
    )
    assert calls.failed == []
    assert len(attempts.acknowledged) == len(attempts) - attempts.failed > 0
    assert max(fds.values()) <= FEW_FDS, fds


def _watched(system: System, soak: Soak) -> dict[str, list[Sample]]:
    end = time.monotonic() + soak.seconds
    seen: dict[str, list[Sample]] = {name: [] for name in HTTP}
    while time.monotonic() < end:
        for name, samples in seen.items():
            samples.append(read_metrics(system.http_port(name)))
        time.sleep(soak.every_s)  # a pace, not a wait for something
    return seen


def _mb_an_hour(samples: Sequence[Sample]) -> float:
    """Returns by how much a process grows, by the median of all slopes between two samples (Theil and Sen).

    One collection of garbage or one burst moves a least-squares line; it does not move this one.
    """
    sizes = [(each.time, each.total("process_resident_memory_bytes")) for each in samples]
    step = max(1, len(sizes) // 100)
    thinned = sizes[::step]
    slopes = [(b - a) / (t - s) for number, (s, a) in enumerate(thinned) for t, b in thinned[number + 1 :]]
    return statistics.median(slopes) * 3600 / 1e6


def _spread(samples: Sequence[Sample], name: str) -> float:
    values = [each.total(name) for each in samples]
    return max(values) - min(values)


def _p99_s(samples: Sequence[Sample]) -> float:
    """Returns the bucket of the loop's lateness that 99 % of the beats between first and last sample are within."""
    first, last = samples[0], samples[-1]
    counts = _buckets(first, last)
    owed = 0.99 * counts[float("inf")]
    return next(bound for bound, count in sorted(counts.items()) if count >= owed)


def _buckets(first: Sample, last: Sample) -> Mapping[float, float]:
    series = (name for name in last.values if name.startswith(f"{LAG}_bucket"))
    bounds = {name: float(name.partition('le="')[2].partition('"')[0].replace("+Inf", "inf")) for name in series}
    return {bound: last.values[name] - first.values.get(name, 0.0) for name, bound in bounds.items()}
