"""A second attempt before the first has failed: for the slowest few, on another scorer, out of the retry budget."""

import asyncio
from collections.abc import Callable

import pytest

from bridge.adapters.system import SystemClock
from bridge.attempts import AttemptPolicy, Attempts, Progress
from bridge.domain.breaker import Breaker, BreakerPolicy, MemoryState
from bridge.domain.deadline import DeadlinePolicy
from bridge.domain.hedge import AnswerTimes, HedgePolicy
from bridge.domain.outcome import FallbackReason, Outcome
from bridge.domain.retry import Failure, RetryBudget, RetryPolicy
from bridge.fakes import FakeChance, Recorder
from bridge.pool import Member, ScorerPool
from bridge.ports import Answer, ScorerError
from feed.scoring.v1 import scoring_pb2

HEDGED = HedgePolicy(enabled=True, min_answers=4)
PATIENT = DeadlinePolicy(total_s=30.0, attempt_s=10.0)


class Scorer:
    """Answers at once, or, once told to hang, when it is let go."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.calls = 0
        self.cancelled = 0
        self.error: ScorerError | None = None
        self.free = asyncio.Event()
        self.free.set()

    async def rank(self, request: scoring_pb2.RankRequest, timeout_s: float) -> Answer:
        del request
        self.calls += 1
        try:
            async with asyncio.timeout(timeout_s):
                await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return Answer(scoring_pb2.RankResponse(video_ids=[self.target], scores=[1.0]))


class Asking:
    """Two scorers that were asked often enough for their usual time to be known."""

    def __init__(self, *, hedge: HedgePolicy = HEDGED, retries: int = 2, scorers: int = 2) -> None:
        self.clock = SystemClock()
        self.recorder = Recorder()
        self.scorers = [Scorer(f"s{number}") for number in range(scorers)]
        members = [Member(scorer, Breaker(BreakerPolicy(), MemoryState())) for scorer in self.scorers]
        self.pool = ScorerPool(members)
        self.budget = RetryBudget(now=self.clock.monotonic())
        policy = AttemptPolicy(PATIENT, RetryPolicy(max_retries=retries), hedge)
        self.attempts = Attempts(policy, self.pool, self.budget, self.clock, FakeChance(), self.recorder)

    async def warmed(self) -> "Asking":
        for _ in range(8):
            await self.ask()
        return self

    async def ask(self) -> tuple[str | FallbackReason, list[str]]:
        now = self.clock.monotonic()
        progress = Progress(now, now + PATIENT.total_s)
        answer = await self.attempts.ask(scoring_pb2.RankRequest(user_id="u1"), progress)
        return (answer if isinstance(answer, FallbackReason) else answer[1].video_ids[0]), progress.tried

    def hang(self) -> Scorer:
        """Makes the one hang that is asked first."""
        first = min(self.scorers, key=lambda scorer: scorer.calls)
        for scorer in self.scorers:
            if scorer is not first:
                self.pool.members[self.scorers.index(scorer)].in_flight = 5
        first.free.clear()
        return first


async def test_the_other_scorer_answers_when_the_first_takes_long_and_is_then_left_alone() -> None:
    made = await Asking().warmed()
    hung = made.hang()
    other = next(scorer for scorer in made.scorers if scorer is not hung)
    tokens = made.budget.tokens
    answer, tried = await made.ask()
    assert answer == other.target
    assert tried == [hung.target, other.target]
    assert hung.cancelled == 1
    assert made.budget.tokens == pytest.approx(tokens - 1, abs=0.5), "a hedge costs a retry token"
    last = made.recorder.attempts[-2:]
    assert {(each.target, each.outcome, each.hedge) for each in last} == {
        (hung.target, Outcome.CANCELLED, False),
        (other.target, Outcome.OK, True),
    }
    assert made.pool.members[made.scorers.index(hung)].in_flight == 0


async def test_a_failed_hedge_leaves_the_first_attempt_its_time() -> None:
    made = await Asking().warmed()
    hung = made.hang()
    other = next(scorer for scorer in made.scorers if scorer is not hung)
    other.error = ScorerError(Failure(Outcome.UNAVAILABLE))
    asked = asyncio.create_task(made.ask())
    while not other.calls or made.recorder.attempts[-1].outcome is not Outcome.UNAVAILABLE:  # noqa: ASYNC110
        await asyncio.sleep(0)
    hung.free.set()
    answer, tried = await asked
    assert (answer, tried) == (hung.target, [hung.target, other.target])


@pytest.mark.parametrize(
    ("made", "why"),
    [
        pytest.param(lambda: Asking(hedge=HedgePolicy(min_answers=4)), "off by default", id="off"),
        pytest.param(lambda: Asking(scorers=1), "nobody else to ask", id="one-scorer"),
        pytest.param(lambda: Asking(retries=0), "it counts as a retry", id="no-retries"),
    ],
)
async def test_there_is_no_hedge_when(made: Callable[[], Asking], why: str) -> None:
    asking = await made().warmed()
    hung = asking.hang()
    asked = asyncio.create_task(asking.ask())
    while not hung.calls:  # noqa: ASYNC110  # each turn of the loop is a step of it
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0.001)
    hung.free.set()
    answer, tried = await asked
    assert (answer, tried) == (hung.target, [hung.target]), why


async def test_without_retry_tokens_there_is_no_hedge() -> None:
    made = await Asking().warmed()
    hung = made.hang()
    while made.budget.take():
        pass
    asked = asyncio.create_task(made.ask())
    for _ in range(50):
        await asyncio.sleep(0.001)
    hung.free.set()
    assert await asked == (hung.target, [hung.target])
    assert [member.in_flight for member in made.pool.members if member.scorer is hung] == [0]


def test_the_percentile_is_that_of_the_last_answers() -> None:
    times = AnswerTimes(HedgePolicy(enabled=True, share=0.95, window=100, min_answers=20))
    for number in range(19):
        times.add(float(number))
    assert times.percentile_s is None
    for number in range(19, 100):
        times.add(float(number))
    assert times.percentile_s == 95.0
    for _ in range(100):
        times.add(7.0)
    assert times.percentile_s == 7.0
