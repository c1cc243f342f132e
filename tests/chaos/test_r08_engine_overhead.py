"""R08: what the engine costs a call, and that calls do not wait for each other; test_*_model.py play its histories."""

import asyncio
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pybreaker

from bridge.adapters.breaker_pybreaker import PybreakerState
from bridge.domain.breaker import Breaker, BreakerPolicy
from bridge.domain.limiter import AdaptiveLimit, LimitPolicy
from bridge.domain.outcome import Verdict
from bridge.domain.overload import Overload, OverloadPolicy
from bridge.domain.retry import RetryBudget
from bridge.fakes import Act, FakeClock, ScriptedScorer
from bridge.pool import Member, ScorerPool
from tests.chaos.conftest import Reporter

TARGET = "overhead p50 < 10 us; 8 x 100 ms calls <= 120 ms"
CALLS = 8
CALL_S = 0.1
REPEATS = 20_000


def pool(members: int) -> ScorerPool:
    return ScorerPool(
        [
            Member(
                ScriptedScorer(f"s{number}", FakeClock(), [Act()]),
                Breaker(BreakerPolicy(), PybreakerState(f"s{number}", lambda _old, _new: None)),
            )
            for number in range(members)
        ]
    )


def engine(members: int) -> Callable[[float], None]:
    """One request with one attempt: overload, limit, budget, choice of a scorer, breaker."""
    overload = Overload(OverloadPolicy())
    limit = AdaptiveLimit(LimitPolicy(), 0.0)
    budget = RetryBudget(now=0.0)
    scorers = pool(members)

    def call(now: float) -> None:
        overload.decide(now, 0.0, 3)
        limit.acquire()
        budget.earn(now)
        lease = scorers.acquire((), now, 0.5)
        assert lease is not None
        scorers.release(lease, Verdict.SUCCESS, now, 0.5)
        limit.release(now, now, Verdict.SUCCESS)

    return call


def p50_us(call: Callable[[float], None]) -> float:
    """Median time of a call in microseconds, at 2,000 calls a second of virtual time."""
    taken_ns = []
    for number in range(REPEATS):
        start = time.perf_counter_ns()
        call(number * 0.0005)
        taken_ns.append(time.perf_counter_ns() - start)
    return statistics.median(taken_ns) / 1000


async def guarded_ms() -> float:
    """Several calls at a time through the engine."""
    scorers = pool(1)

    async def call() -> None:
        lease = scorers.acquire((), time.monotonic(), 0.5)
        assert lease is not None
        await asyncio.sleep(CALL_S)
        scorers.release(lease, Verdict.SUCCESS, time.monotonic(), 0.5)

    start = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLS)))
    return (time.perf_counter() - start) * 1000


def pybreaker_ms() -> float:
    """The same calls through pybreaker's own `call`."""
    breaker = pybreaker.CircuitBreaker()
    start = time.perf_counter()
    with ThreadPoolExecutor(CALLS) as threads:
        list(threads.map(lambda _: breaker.call(time.sleep, CALL_S), range(CALLS)))
    return (time.perf_counter() - start) * 1000


async def test_the_engine_costs_microseconds_and_holds_up_nobody(report: Reporter) -> None:
    engine_us, of_two_us = p50_us(engine(1)), p50_us(engine(2))
    together_ms = min([await guarded_ms() for _ in range(3)])
    alone_ms = pybreaker_ms()
    report(
        "R08",
        "overhead of the engine; eight calls of 100 ms at a time",
        target=TARGET,
        met=engine_us < 10 and together_ms <= 120,
        engine_p50_us=engine_us,
        engine_and_choice_of_two_p50_us=of_two_us,
        together_ms=together_ms,
        pybreaker_alone_ms=alone_ms,
    )
    # However busy the machine: one after the other they would take 800 ms, as they do in pybreaker.
    assert together_ms < CALLS * CALL_S * 1000 <= alone_ms
