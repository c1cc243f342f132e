"""Spans of pages, attempts and calls to scorers, by what the service tells of them; used only where traces are on.

Several requests may share a call, which belongs to one of their traces: the others have a link to it, and it to them.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

from bridge.domain.outcome import Outcome
from bridge.ports import Answer, RankCalls, Scorer, ScorerError
from bridge.telemetry import AttemptMade, NullObserver, PageServed
from feed.scoring.v1 import scoring_pb2
from runtime.traces.tracing import Active, Around, Kind, Span, current

_SERVICE: Final = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name

# The attempt that this task makes, or has just made.
_ATTEMPT: ContextVar[Span | None] = ContextVar("attempt", default=None)


class TracedPages(NullObserver):
    """An observer that says in the current spans what became of pages and attempts; never of whom or which videos."""

    def page_served(self, record: PageServed) -> None:
        """Takes a finished page."""
        span = current()
        if span is None:
            return
        response, stages = record.response, record.stages
        span.trace.degraded = record.fell_back
        span.attributes.update(
            {
                "feed.source": record.source.value,
                "feed.fallback_reason": record.fallback_reason.value,
                "feed.rung": record.rung,
                "feed.degraded": record.fell_back,
                "feed.continued": record.continued,
                "feed.algorithm": response.algorithm,
                "feed.model_version": response.model_version,
                "feed.attempts": record.attempts,
                "feed.recommendation_id": response.recommendation_id,
                "feed.budget_left_ms": response.budget_left_ms,
                "feed.queue_ms": stages.queue * 1000,
                "feed.scorer_ms": stages.scorer * 1000,
                "feed.backoff_ms": stages.backoff * 1000,
                "feed.fallback_ms": stages.fallback * 1000,
                "feed.answer_ms": stages.answer * 1000,
            }
        )

    def attempt_made(self, record: AttemptMade) -> None:
        """Takes an ended attempt."""
        span = _ATTEMPT.get()
        if span is None:
            return
        _ATTEMPT.set(None)
        span.attributes.update(
            {
                "server.address": record.target,
                "feed.attempt": record.attempt,
                "feed.outcome": record.outcome.value,
                "feed.hedge": record.hedge,
            }
        )
        if record.outcome is not Outcome.OK:
            span.fail(record.outcome.value)
        span.end()


class TracedScorer:
    """The port `Scorer` with a span of each attempt, which `TracedPages` ends.

    Args:
        inner: Makes the attempts.
        attempts: Gets the span of each request that is being asked for, by the request's id in memory.
    """

    def __init__(self, inner: Scorer, attempts: dict[int, Span]) -> None:
        self._inner = inner
        self._attempts = attempts

    @property
    def target(self) -> str:
        """Of the inner one."""
        return self._inner.target

    async def rank(self, request: scoring_pb2.RankRequest, timeout_s: float) -> Answer:
        """Asks for a ranking; raises as the inner one."""
        around = current()
        if around is None:
            return await self._inner.rank(request, timeout_s)
        span = around.child("attempt")
        _ATTEMPT.set(span)
        key = id(request)
        self._attempts[key] = span
        try:
            with Active(span):
                return await self._inner.rank(request, timeout_s)
        finally:
            del self._attempts[key]


class TracedCalls:
    """The port `RankCalls` with a span of each call.

    Args:
        inner: Makes the calls.
        attempts: The spans of those that wait for them, as `TracedScorer` puts them there.
    """

    def __init__(self, inner: RankCalls, attempts: dict[int, Span]) -> None:
        self._inner = inner
        self._attempts = attempts

    @property
    def target(self) -> str:
        """Of the inner one."""
        return self._inner.target

    @property
    def batches(self) -> bool:
        """Of the inner one."""
        return self._inner.batches

    async def rank(
        self, requests: Sequence[scoring_pb2.RankRequest], timeout_s: float
    ) -> Sequence[scoring_pb2.RankResponse]:
        """Asks for rankings in one call; raises as the inner one."""
        found = (self._attempts.get(id(request)) for request in requests)
        waiting = [span for span in found if span is not None]
        if not waiting:
            return await self._inner.rank(requests, timeout_s)
        span = _call(waiting, len(requests))
        span.attributes["server.address"] = self.target
        with Around(span):
            try:
                return await self._inner.rank(requests, timeout_s)
            except ScorerError as error:
                span.fail(error.failure.outcome.value)
                raise


def _call(waiting: Sequence[Span], users: int) -> Span:
    """Begins the span of a call, in the first trace that everybody keeps, else in the first."""
    parent = next((span for span in waiting if span.context.sampled), waiting[0])
    span = parent.child(f"{_SERVICE}/{'RankBatch' if users > 1 else 'Rank'}", Kind.CLIENT)
    span.attributes.update({"rpc.system.name": "grpc", "rpc.method": span.name, "feed.users": users})
    for other in waiting:
        if other is not parent:
            span.links.append(other.context)
            other.links.append(span.context)
    return span
