"""Whether a failed attempt is followed by another one, and when."""

from dataclasses import dataclass
from typing import Final

from bridge.domain.outcome import REASONS, FallbackReason, Outcome

# Ends after which the same scorer may well answer.
RETRIED: Final = frozenset({Outcome.UNAVAILABLE, Outcome.PUSHED_BACK, Outcome.TIMEOUT})

# Ends after which only another scorer can answer. The refusal cost that scorer nothing, so it is not charged
# to the retry budget: with one of two scorers still without a model, half of all requests need it.
RETRIED_ELSEWHERE: Final = frozenset({Outcome.MODEL_MISSING, Outcome.CONTRACT_MISMATCH})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How failed attempts are repeated.

    Args:
        max_retries: Most attempts after the first.
        backoff_s: Upper end of the wait before the first retry, in seconds; it doubles with each further one.
    """

    max_retries: int = 2
    backoff_s: float = 0.005


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that did not give a ranking.

    Args:
        outcome: How it ended.
        pushback_s: How long the scorer asked to be left alone, in seconds; None when it did not say.
    """

    outcome: Outcome
    pushback_s: float | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `wait_s` seconds; `charged` when it costs a token of the retry budget."""

    wait_s: float
    charged: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Serve a fallback, for this reason."""

    reason: FallbackReason


def after_failure(
    policy: RetryPolicy, failure: Failure, attempt: int, *, jitter: float, untried_left: bool
) -> Again | GiveUp:
    """Decides what follows a failed attempt.

    Args:
        policy: The limits.
        failure: How the attempt ended.
        attempt: Its number, from 1.
        jitter: A random number in [0, 1).
        untried_left: Whether there is a scorer that this request has not asked yet.
    """
    give_up = GiveUp(REASONS[failure.outcome])
    if attempt > policy.max_retries:
        return give_up
    if failure.outcome in RETRIED_ELSEWHERE:
        return Again(0.0, charged=False) if untried_left else give_up
    if failure.outcome not in RETRIED:
        return give_up
    if failure.pushback_s is not None:  # what the server asks for is kept exactly, without jitter (gRFC A6)
        return Again(failure.pushback_s)
    return Again(jitter * policy.backoff_s * 2 ** (attempt - 1))


class RetryBudget:
    """Tokens for retries, shared by all requests, so that an outage is not amplified.

    Every request earns a fraction of a token, time adds a few, a retry takes a whole one.

    Args:
        ratio: Tokens that a request earns.
        per_second: Tokens that a second adds.
        capacity: Most tokens held: ten seconds' worth of the time share, so that a quiet night does not save
            up for a storm.
        now: The present, in monotonic seconds.
    """

    def __init__(self, *, ratio: float = 0.1, per_second: float = 5.0, capacity: float = 50.0, now: float) -> None:
        self._ratio = ratio
        self._per_second = per_second
        self._capacity = capacity
        self._tokens = capacity
        self._counted = now

    @property
    def tokens(self) -> float:
        """Tokens at the last request."""
        return self._tokens

    def earn(self, now: float) -> None:
        """Counts one request."""
        self._add(self._ratio + max(0.0, now - self._counted) * self._per_second)
        self._counted = max(now, self._counted)

    def take(self) -> bool:
        """Takes a token for a retry; False when there is none."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _add(self, tokens: float) -> None:
        self._tokens = min(self._capacity, self._tokens + tokens)
