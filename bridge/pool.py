"""The scorers, each behind its breaker, and the choice among them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from bridge.domain.breaker import Breaker, Permit, State
from bridge.domain.outcome import Verdict
from bridge.ports import Scorer

# The share of its load that a scorer takes at the start of its warm-up: enough to fill its caches, too little to hurt.
_COLDEST: Final = 0.1


@dataclass(slots=True)
class Member:
    """A scorer, its breaker, and what is known of it now.

    Args:
        scorer: The scorer.
        breaker: Its breaker.
        in_flight: Attempts under way.
        serving: What its health service said last.
        since: Since when it is back, in monotonic seconds; it takes its full load some time later.
    """

    scorer: Scorer
    breaker: Breaker
    in_flight: int = 0
    serving: bool = True
    since: float = float("-inf")

    def went(self) -> None:
        """Notes that it does not serve: others are asked first."""
        self.serving = False

    def returned(self, now: float) -> None:
        """Notes that it serves again: it need not wait for its breaker's open time, but it starts gently."""
        self.serving = True
        self.since = now
        self.breaker.returned()

    def load(self, now: float, warm_up_s: float) -> float:
        """Returns how loaded it is; while it warms up, each attempt weighs more."""
        warmth = min(1.0, (now - self.since) / warm_up_s) if warm_up_s > 0 else 1.0
        return (self.in_flight + 1) / max(_COLDEST, warmth)


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Leave to call one scorer once; give it back with `release`."""

    member: Member
    permit: Permit


class ScorerPool:
    """Chooses a scorer whose breaker lets a call through.

    Of two chosen by chance the less loaded one is taken: as good as knowing the least loaded of all, and callers do not
    all run to the same one (Mitzenmacher 2001).

    Args:
        members: The scorers, at least one.
        warm_up_s: How long a returned scorer takes to come to its full load, in seconds.
    """

    def __init__(self, members: Sequence[Member], warm_up_s: float = 5.0) -> None:
        self._members = tuple(members)
        self._warm_up_s = warm_up_s

    @property
    def members(self) -> tuple[Member, ...]:
        """The scorers, in the order of the configuration."""
        return self._members

    def acquire(self, tried: Collection[str], now: float, jitter: float, *, untried_only: bool = False) -> Lease | None:
        """Chooses a scorer: one that this request has not tried first, then one that serves, then the less loaded.

        Args:
            tried: Targets that this request has called already.
            now: The present, in monotonic seconds.
            jitter: A random number in [0, 1).
            untried_only: Whether one that was tried will not do.

        Returns:
            A lease, or None when every breaker refuses.
        """
        for member in self._in_order(tried, now, jitter):
            if untried_only and member.scorer.target in tried:
                continue
            permit = member.breaker.acquire(now, jitter)
            if permit is not None:
                member.in_flight += 1
                return Lease(member, permit)
        return None

    def release(self, lease: Lease, verdict: Verdict, now: float, jitter: float) -> None:
        """Ends a lease and tells the breaker how the call went."""
        member = lease.member
        member.in_flight -= 1
        probing = member.breaker.state is State.HALF_OPEN
        member.breaker.record(lease.permit, verdict, now, jitter)
        if probing and member.breaker.state is State.CLOSED:
            member.since = now

    def untried_left(self, tried: Collection[str]) -> bool:
        """Says whether there is a scorer that was not tried."""
        return any(member.scorer.target not in tried for member in self._members)

    def _in_order(self, tried: Collection[str], now: float, jitter: float) -> Sequence[Member]:
        if len(self._members) == 1:
            return self._members

        def rank(member: Member) -> tuple[bool, bool]:
            return member.scorer.target in tried, not member.serving

        best_rank = min(map(rank, self._members))
        best = [member for member in self._members if rank(member) == best_rank]
        chosen = self._less_loaded(best, now, jitter)
        others = (member for member in self._members if member is not chosen)
        return [chosen, *sorted(others, key=lambda member: (rank(member), member.load(now, self._warm_up_s)))]

    def _less_loaded(self, members: Sequence[Member], now: float, jitter: float) -> Member:
        if len(members) == 1:
            return members[0]
        pair = int(jitter * len(members) * (len(members) - 1))  # one of all ordered pairs of different places
        first, step = divmod(pair, len(members) - 1)
        two = (members[first], members[(first + 1 + step) % len(members)])
        return min(two, key=lambda member: member.load(now, self._warm_up_s))
