"""Attempts and the calls that they share, as spans."""

import asyncio
from collections.abc import Sequence

import pytest

from bridge.batching import BatchingScorer, BatchPolicy
from bridge.domain.outcome import Outcome
from bridge.domain.retry import Failure
from bridge.ports import ScorerError
from bridge.telemetry import AttemptMade, NullObserver
from bridge.tracing import TracedCalls, TracedPages, TracedScorer
from feed.scoring.v1 import scoring_pb2 as pb
from runtime.traces.policy import KeepPolicy
from runtime.traces.tracing import Active, Kind, Span, Traces, current
from tests.unit.runtime.test_tracing import HEADER, Told

CALL = "feed.scoring.v1.ScoringService/"


class Calls:
    """A scorer that answers, or fails."""

    target = "here:1"
    batches = True

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.carried: list[str] = []

    async def rank(self, requests: Sequence[pb.RankRequest], _timeout_s: float) -> Sequence[pb.RankResponse]:
        span = current()
        self.carried.append(span.context.header if span else "")
        await asyncio.sleep(0)
        if self.failure:
            raise ScorerError(self.failure)
        return [pb.RankResponse(algorithm=request.user_id) for request in requests]


class Rig:
    """What asks a scorer, with spans."""

    def __init__(self) -> None:
        self.told = Told()
        self.traces = Traces(KeepPolicy(ratio=0.0), self.told.export, self.told)
        self.calls = Calls()
        attempts: dict[int, Span] = {}
        batching = BatchingScorer(TracedCalls(self.calls, attempts), BatchPolicy(), NullObserver())
        self.scorer = TracedScorer(batching, attempts)
        self.attempts = attempts

    async def ask(self, user_id: str, header: str = HEADER) -> str:
        """Asks as a request does; returns its span's id."""
        root = self.traces.begin(user_id, Kind.SERVER, header)
        with Active(root):
            outcome = Outcome.OK
            try:
                answer = await self.scorer.rank(pb.RankRequest(user_id=user_id), 1.0)
                assert answer.response.algorithm == user_id
            except ScorerError as error:
                outcome = error.failure.outcome
            finally:
                TracedPages().attempt_made(AttemptMade("here:1", 1, outcome, 0.01))
        root.end()
        return f"{root.context.span_id:016x}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.told.spans if span.name == name]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_one_call_below_one_attempt(rig: Rig):
    await rig.ask("u1")
    call, attempt, root = rig.told.spans
    assert (call.name, attempt.name, root.name) == (f"{CALL}Rank", "attempt", "u1")
    assert (call.parent, attempt.parent) == (attempt.context, root.context)
    assert rig.calls.carried == [call.context.header]
    assert attempt.attributes["feed.outcome"] == "ok"
    assert (rig.attempts, current()) == ({}, None)


async def test_a_shared_call_belongs_to_one_and_is_linked_with_the_others(rig: Rig):
    other = HEADER.replace("0af7", "1af7")
    await asyncio.gather(rig.ask("u1", HEADER), rig.ask("u2", other), rig.ask("u3", ""))
    (call,) = rig.named(f"{CALL}RankBatch")
    first, second = rig.named("attempt")  # the third was not drawn
    assert call.parent == first.context
    assert call.attributes["feed.users"] == 3
    assert (second.context in call.links, len(call.links)) == (True, 2)
    assert (first.links, second.links) == ([], [call.context])


async def test_a_shared_call_belongs_to_a_trace_that_everybody_keeps(rig: Rig):
    await asyncio.gather(rig.ask("u1", ""), rig.ask("u2", HEADER))
    (call,) = rig.named(f"{CALL}RankBatch")
    (attempt,) = rig.named("attempt")
    assert call.parent == attempt.context


async def test_a_failed_call_says_why(rig: Rig):
    rig.calls.failure = Failure(Outcome.UNAVAILABLE)
    await rig.ask("u1")
    assert [span.failed for span in rig.told.spans] == ["unavailable", "unavailable", ""]


async def test_without_a_request_nothing_is_made(rig: Rig):
    """As when health is asked."""
    await rig.scorer.rank(pb.RankRequest(user_id="u1"), 1.0)
    assert (rig.told.spans, rig.calls.carried) == ([], [""])
