"""A scorer that was down and is up again is tried at once; one that only says it serves is not (R01)."""

import asyncio
from collections.abc import Sequence

import pytest

from bridge.domain.breaker import Breaker, BreakerPolicy, MemoryState, State
from bridge.domain.outcome import Verdict
from bridge.fakes import Act, FakeClock, ScriptedScorer
from bridge.health import HealthWatch
from bridge.pool import Member


class Patient:
    """Answers by a script, then says that it is over and never answers again."""

    def __init__(self, script: Sequence[bool]) -> None:
        self._script = list(script)
        self.over = asyncio.Event()

    async def serving(self, timeout_s: float) -> bool:
        assert timeout_s == 0.06
        if self._script:
            return self._script.pop(0)
        self.over.set()
        await asyncio.Event().wait()
        raise AssertionError


def member(breaker: Breaker) -> Member:
    return Member(ScriptedScorer("s0", FakeClock(), [Act()]), breaker)


def closed() -> Breaker:
    return Breaker(BreakerPolicy(), MemoryState())


def opened() -> Breaker:
    breaker = Breaker(BreakerPolicy(), MemoryState())
    for _ in range(10):
        permit = breaker.acquire(0.0, 0.5)
        assert permit is not None
        breaker.record(permit, Verdict.FAILURE, 0.0, 0.5)
    return breaker


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param([True, True, True], State.OPEN, id="serving-all-along"),
        pytest.param([False, False], State.OPEN, id="still-down"),
        pytest.param([True, False], State.OPEN, id="going-down"),
        pytest.param([True, False, True], State.OPEN, id="one-missed-answer"),
    ],
)
async def test_without_a_return_the_breaker_waits(script: list[bool], expected: State) -> None:
    breaker, scorer = opened(), Patient(script)
    watch = HealthWatch([(scorer, member(breaker))], 0.25, 0.06, FakeClock())
    watch.start()
    async with asyncio.timeout(5):
        await scorer.over.wait()
    await watch.stop()
    assert breaker.state is expected


async def test_a_return_half_opens_it() -> None:
    breaker, clock = opened(), FakeClock()
    watch = HealthWatch([(Patient([False, False, True]), member(breaker))], 0.25, 0.06, clock)
    watch.start()
    async with asyncio.timeout(5):
        while breaker.state is State.OPEN:  # noqa: ASYNC110  # virtual time: each turn of the loop is a step of it
            await asyncio.sleep(0)
    await watch.stop()
    assert breaker.state is State.HALF_OPEN


@pytest.mark.parametrize(
    ("script", "serving"),
    [
        pytest.param([True], True, id="serving"),
        pytest.param([False], False, id="not-there-yet"),
        pytest.param([True, False], True, id="one-missed-answer"),
        pytest.param([True, False, True, False], True, id="missed-answers-apart"),
        pytest.param([True, False, False], False, id="draining"),
        pytest.param([False, False, True], True, id="back"),
    ],
)
async def test_what_a_scorer_says_is_known_to_the_pool(script: list[bool], serving: bool) -> None:
    scorer, place = Patient(script), member(closed())
    watch = HealthWatch([(scorer, place)], 0.25, 0.06, FakeClock())
    watch.start()
    async with asyncio.timeout(5):
        await scorer.over.wait()
    await watch.stop()
    assert (place.serving, place.breaker.state) == (serving, State.CLOSED)
