"""What is done with a request when there are more than can be answered well."""

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """How much is done for a request."""

    ADMIT = "admit"
    SHED = "shed"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class OverloadPolicy:
    """The bounds; waits are those before a request begins.

    Args:
        shed_wait_s: Who waited longer is served from the ladder at once, in seconds: the deadline has no room left for
            a whole attempt.
        refuse_wait_s: Who waited longer gets no page in time, whatever is done, in seconds.
        patience_s: Only when waits have been that long for this time, in seconds, ...
        patience_requests: ... and for so many requests is it overload, and are requests refused. After a stall a late
            page is better than none, and where few ask, refusing some would not speed up the others.
        max_requests: Requests under way; those beyond are refused.
        retry_after_s: When a refused caller may come again, in seconds; varied by half up and down, so that those who
            were refused together do not come back together.
    """

    shed_wait_s: float = 0.080
    refuse_wait_s: float = 0.150
    patience_s: float = 1.0
    patience_requests: int = 200
    max_requests: int = 1024
    retry_after_s: float = 1.0


class Overload:
    """Decides about each request as it begins.

    Args:
        policy: The bounds.
    """

    def __init__(self, policy: OverloadPolicy) -> None:
        self._policy = policy
        self._late_since = 0.0
        self._late = 0

    def decide(self, now: float, waited_s: float, in_flight: int) -> Decision:
        """Decides about a request.

        Args:
            now: The present, in monotonic seconds.
            waited_s: How long it has waited, in seconds.
            in_flight: Requests under way, without it.
        """
        if in_flight >= self._policy.max_requests or self._standing_queue(now, waited_s):
            return Decision.REFUSE
        return Decision.SHED if waited_s > self._policy.shed_wait_s else Decision.ADMIT

    def retry_after_s(self, jitter: float) -> float:
        """Returns when a refused caller may come again, in seconds.

        Args:
            jitter: A random number in [0, 1).
        """
        return self._policy.retry_after_s * (0.5 + jitter)

    def _standing_queue(self, now: float, waited_s: float) -> bool:
        if waited_s <= self._policy.refuse_wait_s:
            self._late = 0
            return False
        if not self._late:
            self._late_since = now
        self._late += 1
        long = now - self._late_since > self._policy.patience_s
        return long and self._late > self._policy.patience_requests
