"""The only scorer is killed, stopped, slowed and cut off in turn, under load all the time: nobody is failed or late."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.conftest import Reporter
from tests.chaos.processes import Running
from tests.chaos.rig import Rig
from tests.toxiproxy import Proxy

LATENCY_MS = 120
# The promise, and what the load generator's own work may add to it.
MAX_MS = 160
TARGET = "0 non-OK answers; 0 later than 150 ms at the caller (160 ms with the client's own time)"


@contextmanager
def killed(scorer: Running, _proxy: Proxy) -> Iterator[None]:
    scorer.kill()
    yield
    scorer.start()


@contextmanager
def stopped(scorer: Running, _proxy: Proxy) -> Iterator[None]:
    scorer.send(signal.SIGSTOP)
    yield
    scorer.send(signal.SIGCONT)


@contextmanager
def slowed(_scorer: Running, proxy: Proxy) -> Iterator[None]:
    proxy.add("latency", latency=LATENCY_MS)
    yield
    proxy.heal()


@contextmanager
def resetting(_scorer: Running, proxy: Proxy) -> Iterator[None]:
    proxy.add("reset_peer", timeout=0)
    yield
    proxy.heal()


FAULTS = (killed, stopped, slowed, resetting)


def test_nobody_is_failed_or_late(rig: Rig, long: bool, report: Reporter):
    scorer = rig.scorer()
    proxy = rig.proxy(scorer.grpc_port)
    bridge = rig.bridge(proxy.target)
    seconds = 30.0
    turns: dict[str, tuple[float, float]] = {}
    with rig.under_load(bridge, seconds) as run:
        start = time.time()
        for number, fault in enumerate(FAULTS, start=1):
            begun = time.time()
            with fault(scorer, proxy):
                run.until_opened(begun)
                run.pause(seconds / len(FAULTS) / 2 if long else 0.5)
            run.until_page(lambda page: page.source == "LIGHTFM")
            calm_s = max(0.0, start + number * seconds / len(FAULTS) - time.time()) if long else 0.5
            turns[fault.__name__] = begun, run.pause(calm_s)

    calls = run.calls
    report(
        "faults",
        "only scorer killed, stopped, slowed by 120 ms, resetting, in turn",
        target=TARGET,
        met=not calls.failed and not calls.refused and calls.max_ms <= MAX_MS,
        **run.figures(),
        **{f"{name}_max_ms": calls.between(*turn).max_ms for name, turn in turns.items()},
        personalised_share=sum(page.source == "LIGHTFM" for page in run.watch.pages) / len(run.watch.pages),
    )
    run.check()
    for turn in turns.values():
        run.opened(*turn)
