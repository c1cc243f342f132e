"""How much time a request and each of its attempts may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeadlinePolicy:
    """The time limits of a request.

    Args:
        total_s: Longest time from arrival to answer, in seconds.
        attempt_s: Longest time of one attempt, in seconds.
        reserve_s: Kept back for the fallback page and the answer, in seconds.
        minimum_s: An attempt with less than this cannot succeed and is not started, in seconds.
    """

    total_s: float = 0.150
    attempt_s: float = 0.060
    reserve_s: float = 0.010
    minimum_s: float = 0.015


def deadline(policy: DeadlinePolicy, now: float, caller_remaining_s: float | None, waited_s: float = 0.0) -> float:
    """Returns the instant by which the answer must be ready: our own limit or the caller's, whichever is first.

    Args:
        policy: The time limits.
        now: When the request begins, in monotonic seconds.
        caller_remaining_s: What the caller has left, in seconds; None when it set no deadline.
        waited_s: How long the request has waited before it began, in seconds.
    """
    own = now - waited_s + policy.total_s
    return own if caller_remaining_s is None else min(own, now + max(0.0, caller_remaining_s))


def attempt_timeout_s(policy: DeadlinePolicy, now: float, until: float) -> float | None:
    """Returns how long an attempt started now may take; None when too little is left to start one."""
    timeout_s = min(policy.attempt_s, until - now - policy.reserve_s)
    return timeout_s if timeout_s >= policy.minimum_s else None
