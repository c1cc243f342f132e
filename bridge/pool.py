"""The scorers, each behind its breaker, and the choice among them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bridge.domain.breaker import Breaker, Permit
from bridge.domain.outcome import Verdict
from bridge.ports import Scorer


@dataclass(slots=True)
class Member:
    """A scorer, its breaker and how many calls to it are under way."""

    scorer: Scorer
    breaker: Breaker
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave to call one scorer once; give it back with `release`."""

    member: Member
    permit: Permit


class ScorerPool:
    """Chooses the least loaded scorer whose breaker lets a call through.

    Args:
        members: The scorers, at least one.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        self._turn = 0

    @property
    def members(self) -> tuple[Member, ...]:
        """The scorers, in the order of the configuration."""
        return self._members

    def acquire(self, tried: Collection[str], now: float, jitter: float) -> Lease | None:
        """Chooses a scorer: one that this request has not tried first, then the least loaded, then by turns.

        Args:
            tried: Targets that this request has called already.
            now: The present, in monotonic seconds.
            jitter: A random number in [0, 1).

        Returns:
            A lease, or None when every breaker refuses.
        """
        for member in self._in_order(tried):
            permit = member.breaker.acquire(now, jitter)
            if permit is not None:
                member.in_flight += 1
                return Lease(member, permit)
        return None

    def release(self, lease: Lease, verdict: Verdict, now: float, jitter: float) -> None:
        """Ends a lease and tells the breaker how the call went."""
        lease.member.in_flight -= 1
        lease.member.breaker.record(lease.permit, verdict, now, jitter)

    def untried_left(self, tried: Collection[str]) -> bool:
        """Says whether there is a scorer that was not tried."""
        return any(member.scorer.target not in tried for member in self._members)

    def _in_order(self, tried: Collection[str]) -> Sequence[Member]:
        if len(self._members) == 1:
            return self._members
        self._turn = (self._turn + 1) % len(self._members)
        turned = self._members[self._turn :] + self._members[: self._turn]
        return sorted(turned, key=lambda member: (member.scorer.target in tried, member.in_flight))
