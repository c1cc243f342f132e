"""Concurrent requests share a call to a scorer, and none of them loses anything by it (design part 4, P01)."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from bridge.batching import BatchingScorer, BatchPolicy
from bridge.domain.outcome import Outcome
from bridge.domain.retry import Failure
from bridge.fakes import Recorder
from bridge.ports import Answer, ScorerError
from feed.scoring.v1 import scoring_pb2
from tests.polling import until

LONG_S = 30.0


class Call:
    """A call that ends when the test says so."""

    def __init__(self, requests: Sequence[scoring_pb2.RankRequest], timeout_s: float) -> None:
        self.users = [request.user_id for request in requests]
        self.timeouts_ms = [request.timeout_ms for request in requests]
        self.timeout_s = timeout_s
        self.cancelled = False
        self.requests = requests
        self._end: asyncio.Future[Callable[[str], scoring_pb2.RankResponse]] = asyncio.Future()

    def answer(self, *, dropping: Sequence[str] = ()) -> None:
        self._end.set_result(lambda user: scoring_pb2.RankResponse(model_version=user, dropped=user in dropping))

    def fail(self, error: Exception) -> None:
        self._end.set_exception(error)

    async def run(self) -> Sequence[scoring_pb2.RankResponse]:
        try:
            make = await self._end
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return [make(user) for user in self.users]


class Calls:
    """The port `RankCalls` with calls that the test ends."""

    target = "s0"

    def __init__(self, *, batches: bool = True) -> None:
        self.batches = batches
        self.made: list[Call] = []

    async def rank(
        self, requests: Sequence[scoring_pb2.RankRequest], timeout_s: float
    ) -> Sequence[scoring_pb2.RankResponse]:
        call = Call(requests, timeout_s)
        self.made.append(call)
        return await call.run()

    @property
    def users(self) -> list[list[str]]:
        return [call.users for call in self.made]


class Scorer:
    """A batching scorer, and who asks it."""

    def __init__(self, calls: Calls, *, users: int = 64, hold_s: float = LONG_S, gather_s: float = 0.0) -> None:
        self.recorder = Recorder()
        self.scorer = BatchingScorer(calls, BatchPolicy(users, hold_s, gather_s), self.recorder)

    def ask(self, user: str, timeout_s: float = LONG_S, seen: str = "") -> "asyncio.Task[Answer]":
        request = scoring_pb2.RankRequest(user_id=user, compact_exclude_video_ids=seen)
        return asyncio.create_task(self.scorer.rank(request, timeout_s))


async def turns(count: int = 5) -> None:
    """Lets everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def failure(asked: "asyncio.Task[Answer]") -> tuple[Outcome, bool]:
    with pytest.raises(ScorerError) as caught:
        await asked
    return caught.value.failure.outcome, caught.value.shared


async def test_alone_a_request_is_sent_at_once() -> None:
    calls = Calls()
    asked = Scorer(calls).ask("u1")
    await turns()
    assert calls.users == [["u1"]]
    calls.made[0].answer()
    answer = await asked
    assert (answer.response.model_version, answer.shared) == ("u1", False)


async def test_what_comes_together_goes_together_and_each_gets_its_own() -> None:
    calls = Calls()
    made = Scorer(calls)
    asked = [made.ask(f"u{number}") for number in range(3)]
    await turns()
    assert calls.users == [["u0", "u1", "u2"]]
    calls.made[0].answer()
    assert [(await each).response.model_version for each in asked] == ["u0", "u1", "u2"]
    assert [(record.target, record.users) for record in made.recorder.batches] == [("s0", 3)]


async def test_long_histories_do_not_make_a_call_that_no_server_takes() -> None:
    """A server takes 1 MiB; 64 users with 10,000 seen videos each are some 8 MB."""
    calls = Calls()
    made = Scorer(calls)
    asked = [made.ask(f"u{number}", seen="v" * 200_000) for number in range(5)]
    await turns()
    assert calls.users == [["u0", "u1"], ["u2", "u3"], ["u4"]]
    for call in calls.made:
        assert sum(request.ByteSize() for request in call.requests) < 2**20
        call.answer()
    assert [(await each).response.model_version for each in asked] == [f"u{number}" for number in range(5)]


async def test_what_comes_while_a_call_is_under_way_goes_when_it_ends() -> None:
    calls = Calls()
    made = Scorer(calls)
    first = made.ask("u1")
    await turns()
    later = [made.ask(f"u{number}") for number in (2, 3)]
    await turns()
    assert calls.users == [["u1"]]
    calls.made[0].answer()
    await first
    assert calls.users == [["u1"], ["u2", "u3"]]
    calls.made[1].answer()
    await asyncio.gather(*later)


async def test_while_many_ask_one_waits_a_moment_for_the_next() -> None:
    calls = Calls()
    made = Scorer(calls, gather_s=0.05)
    asked = [made.ask(f"u{number}") for number in range(2)]
    await turns()
    calls.made[0].answer()
    await asyncio.gather(*asked)
    asked = [made.ask("u2")]
    await turns()
    assert len(calls.made) == 1
    asked.append(made.ask("u3"))
    await until(lambda: _count(calls), 2)
    assert calls.users[1] == ["u2", "u3"]
    calls.made[1].answer()
    await asyncio.gather(*asked)


async def test_a_hung_call_holds_nobody_back_for_long() -> None:
    calls = Calls()
    made = Scorer(calls, hold_s=0.001)
    hung = made.ask("u1")
    await turns()
    asked = made.ask("u2")
    await until(lambda: _count(calls), 2)
    calls.made[1].answer()
    assert (await asked).response.model_version == "u2"
    hung.cancel()
    await asyncio.gather(hung, return_exceptions=True)


async def _count(calls: Calls) -> int:
    return len(calls.made)


async def test_a_full_batch_waits_for_nothing_and_a_larger_one_is_parted() -> None:
    calls = Calls()
    made = Scorer(calls, users=2)
    asked = [made.ask(f"u{number}") for number in range(5)]
    await turns()
    assert calls.users == [["u0", "u1"], ["u2", "u3"]]
    for call in calls.made[:2]:
        call.answer()
    await turns()
    assert calls.users[2:] == [["u4"]]
    calls.made[2].answer()
    await asyncio.gather(*asked)


async def test_a_scorer_without_batches_gets_one_call_a_request() -> None:
    calls = Calls(batches=False)
    made = Scorer(calls)
    asked = [made.ask(f"u{number}") for number in range(3)]
    await turns()
    assert calls.users == [["u0"], ["u1"], ["u2"]]
    for call in calls.made:
        call.answer()
    assert [(await each).shared for each in asked] == [False] * 3


async def test_each_request_keeps_its_own_time() -> None:
    """The call lives as long as the most patient of them; the scorer is told the time of each."""
    calls = Calls()
    made = Scorer(calls)
    hurried, patient = made.ask("hurried", 0.02), made.ask("patient", 20.0)
    await turns()
    (call,) = calls.made
    assert call.timeouts_ms[0] <= 20
    assert 15_000 < call.timeouts_ms[1] <= 20_000
    assert 15.0 < call.timeout_s <= 20.0
    assert await failure(hurried) == (Outcome.TIMEOUT, False)
    call.answer()
    answer = await patient
    assert (answer.response.model_version, answer.shared) == ("patient", True)


async def test_one_call_counts_once_for_the_breaker_when_it_answers() -> None:
    calls = Calls()
    made = Scorer(calls)
    asked = [made.ask(f"u{number}") for number in range(3)]
    await turns()
    calls.made[0].answer()
    assert [(await each).shared for each in asked] == [False, True, True]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(ScorerError(Failure(Outcome.UNAVAILABLE)), Outcome.UNAVAILABLE, id="failed"),
        pytest.param(ZeroDivisionError(), Outcome.INTERNAL, id="a-bug"),
    ],
)
async def test_one_call_counts_once_for_the_breaker_when_it_fails(error: Exception, outcome: Outcome) -> None:
    calls = Calls()
    made = Scorer(calls)
    asked = [made.ask(f"u{number}") for number in range(3)]
    await turns()
    calls.made[0].fail(error)
    assert [await failure(each) for each in asked] == [(outcome, False), (outcome, True), (outcome, True)]


async def test_a_hung_call_counts_once_though_each_request_gives_up_by_itself() -> None:
    made = Scorer(Calls())
    asked = [made.ask(f"u{number}", 0.005) for number in range(3)]
    assert sorted([await failure(each) for each in asked]) == [(Outcome.TIMEOUT, False)] + [(Outcome.TIMEOUT, True)] * 2


async def test_one_that_the_scorer_dropped_is_a_timeout_and_the_others_are_answered() -> None:
    calls = Calls()
    made = Scorer(calls)
    dropped, answered = made.ask("late"), made.ask("u1")
    await turns()
    calls.made[0].answer(dropping=["late"])
    assert await failure(dropped) == (Outcome.TIMEOUT, False)
    assert (await answered).response.model_version == "u1"


async def test_a_call_is_given_up_when_the_last_one_leaves() -> None:
    """R09: nobody's work goes on."""
    calls = Calls()
    made = Scorer(calls)
    asked = [made.ask(f"u{number}") for number in range(2)]
    await turns()
    asked[0].cancel()
    await turns()
    assert not calls.made[0].cancelled
    asked[1].cancel()
    await turns()
    assert calls.made[0].cancelled
    await asyncio.gather(*asked, return_exceptions=True)
    again = made.ask("u9")
    await turns()
    assert calls.users[1:] == [["u9"]], "a call that was given up is not under way"
    calls.made[1].answer()
    await again


async def test_one_that_left_before_the_call_is_not_asked_for() -> None:
    calls = Calls()
    made = Scorer(calls)
    first = made.ask("u1")
    await turns()
    left, stays = made.ask("left"), made.ask("stays")
    await turns()
    left.cancel()
    await turns()
    calls.made[0].answer()
    await first
    assert calls.users[1:] == [["stays"]]
    calls.made[1].answer()
    await stays
