"""Retry(Breaker(attempt)): asks scorers until one answers or it is time to stop."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from bridge import wire
from bridge.domain.deadline import DeadlinePolicy, attempt_timeout_s
from bridge.domain.hedge import AnswerTimes, HedgePolicy
from bridge.domain.outcome import REASONS, VERDICTS, FallbackReason, Outcome, Verdict
from bridge.domain.page import Ranking
from bridge.domain.retry import Failure, GiveUp, RetryBudget, RetryPolicy, after_failure
from bridge.pool import Lease, ScorerPool
from bridge.ports import Chance, Clock, ScorerError
from bridge.telemetry import AttemptMade, Observer
from feed.scoring.v1 import scoring_pb2

# What a scorer answered, and the ranking made of it.
Answered: TypeAlias = tuple[scoring_pb2.RankResponse, Ranking]


@dataclass(frozen=True, slots=True)
class AttemptPolicy:
    """The limits of asking.

    Args:
        deadline: The time limits.
        retry: How failed attempts are repeated.
        hedge: When an attempt is sent before the one before has failed.
    """

    deadline: DeadlinePolicy
    retry: RetryPolicy
    hedge: HedgePolicy


@dataclass(slots=True)
class Progress:
    """What has happened to a request so far; kept apart, so that it is known even when asking breaks off.

    Args:
        arrival: When it came, in monotonic seconds.
        until: When its answer must be ready.
        tried: The targets that were called, one entry an attempt.
        scorer_s: Time spent waiting for scorers.
        backoff_s: Time spent waiting between attempts.
        fallback_s: Time spent on the ladder.
        queue_s: Time it waited before anything was done.
    """

    arrival: float
    until: float
    tried: list[str] = field(default_factory=list)
    scorer_s: float = 0.0
    backoff_s: float = 0.0
    fallback_s: float = 0.0
    queue_s: float = 0.0


class Attempts:
    """Makes the attempts of all requests.

    Args:
        policy: The limits.
        pool: The scorers.
        budget: The retry budget of the process.
        clock: Time.
        chance: Randomness.
        observer: Who is told of attempts.
    """

    def __init__(
        self,
        policy: AttemptPolicy,
        pool: ScorerPool,
        budget: RetryBudget,
        clock: Clock,
        chance: Chance,
        observer: Observer,
    ) -> None:
        self._policy = policy
        self._pool = pool
        self._budget = budget
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._times = AnswerTimes(policy.hedge)

    async def ask(self, asked: scoring_pb2.RankRequest, progress: Progress) -> Answered | FallbackReason:
        """Returns a ranking, or why there is none; never later than the request's time less the reserve."""
        self._budget.earn(progress.arrival)
        reason: FallbackReason | None = None
        while True:
            now = self._clock.monotonic()
            timeout_s = attempt_timeout_s(self._policy.deadline, now, progress.until)
            if timeout_s is None:
                return reason or FallbackReason.DEADLINE
            lease = self._pool.acquire(progress.tried, now, self._chance.jitter())
            if lease is None:
                return reason or FallbackReason.CIRCUIT_OPEN
            answer = await self._one_or_two(lease, asked, timeout_s, progress)
            progress.scorer_s += self._clock.monotonic() - now
            if not isinstance(answer, Failure):
                return answer
            stop = await self._stops(answer, progress)
            if stop:
                return stop
            reason = REASONS[answer.outcome]

    async def _one_or_two(
        self, lease: Lease, asked: scoring_pb2.RankRequest, timeout_s: float, progress: Progress
    ) -> Answered | Failure:
        """Makes an attempt, and, when hedging is on and it takes long, another one beside it."""
        delay_s = self._times.percentile_s if self._policy.hedge.enabled else None
        if delay_s is None or delay_s >= timeout_s or not self._may_hedge(progress, {lease.member.scorer.target}):
            return await self._attempt(lease, asked, timeout_s, progress)
        attempts = {asyncio.create_task(self._attempt(lease, asked, timeout_s, progress))}
        try:
            done, _ = await asyncio.wait(attempts, timeout=delay_s)
            second = None if done else self._second(progress)
            if second is not None:
                attempts.add(
                    asyncio.create_task(self._attempt(second, asked, timeout_s - delay_s, progress, hedge=True))
                )
            return await _first_answer(attempts)
        finally:
            for attempt in attempts:
                attempt.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)

    def _may_hedge(self, progress: Progress, asked: Collection[str]) -> bool:
        most = self._policy.retry.max_retries
        return len(progress.tried) < most and self._pool.untried_left([*progress.tried, *asked])

    def _second(self, progress: Progress) -> Lease | None:
        """Returns leave for a hedge; it costs a retry token, as any further attempt does."""
        now = self._clock.monotonic()
        lease = self._pool.acquire(progress.tried, now, self._chance.jitter(), untried_only=True)
        if lease is not None and not self._budget.take():
            self._pool.release(lease, Verdict.IGNORED, now, self._chance.jitter())
            return None
        return lease

    async def _attempt(
        self,
        lease: Lease,
        asked: scoring_pb2.RankRequest,
        timeout_s: float,
        progress: Progress,
        *,
        hedge: bool = False,
    ) -> Answered | Failure:
        """Calls one scorer once; its breaker learns how it went, whatever happens."""
        target = lease.member.scorer.target
        progress.tried.append(target)
        number = len(progress.tried)
        outcome, shared = Outcome.CANCELLED, False
        try:
            answer = await lease.member.scorer.rank(asked, timeout_s)
            shared = answer.shared
            ranking = wire.ranked(answer.response)
            outcome = Outcome.INTERNAL if ranking is None else Outcome.OK
            return Failure(outcome) if ranking is None else (answer.response, ranking)
        except ScorerError as error:
            outcome, shared = error.failure.outcome, error.shared
            return error.failure
        except Exception:
            outcome = Outcome.INTERNAL
            raise
        finally:
            now = self._clock.monotonic()
            # Several requests share a call to a scorer; to its breaker that is one success or one failure.
            verdict = Verdict.IGNORED if shared else VERDICTS[outcome]
            self._pool.release(lease, verdict, now, self._chance.jitter())
            elapsed_s = now - lease.permit.start
            if outcome is Outcome.OK and self._policy.hedge.enabled:
                self._times.add(elapsed_s)
            self._observer.attempt_made(AttemptMade(target, number, outcome, elapsed_s, hedge))

    async def _stops(self, failure: Failure, progress: Progress) -> FallbackReason | None:
        """Decides about another attempt: returns why there is none, or waits out the backoff and returns None."""
        step = after_failure(
            self._policy.retry,
            failure,
            len(progress.tried),
            jitter=self._chance.jitter(),
            untried_left=self._pool.untried_left(progress.tried),
        )
        if isinstance(step, GiveUp):
            return step.reason
        now = self._clock.monotonic()
        if attempt_timeout_s(self._policy.deadline, now + step.wait_s, progress.until) is None:
            return REASONS[failure.outcome]
        if step.charged and not self._budget.take():
            return FallbackReason.RETRY_BUDGET
        if step.wait_s > 0:
            await self._clock.sleep(step.wait_s)
            progress.backoff_s += self._clock.monotonic() - now
        return None


async def _first_answer(attempts: Collection["asyncio.Task[Answered | Failure]"]) -> Answered | Failure:
    """Returns the first ranking; when there is none, the last failure."""
    pending = set(attempts)
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        results = [attempt.result() for attempt in done]
        for result in results:
            if not isinstance(result, Failure):
                return result
        if not pending:
            return results[-1]
