"""The rung of a user's own list: the only one that waits for anything, and it waits for next to nothing."""

from functools import partial

from bridge.bounded_reads import BoundedReads, ReadLimits
from bridge.domain.filters import Conditions, unconditional
from bridge.domain.ladder import Rung, RungName, Skip, Skipped
from bridge.domain.outcome import FallbackReason
from bridge.domain.personal import PersonalPolicy, personal_rung, skipped, wait_s
from bridge.ports import Clock, UserLists
from bridge.telemetry import Observer


class PersonalRung:
    """Reads a user's list when the model does not serve; never fails and never waits longer than it may.

    Args:
        store: Where the lists are.
        policy: The limits.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(self, store: UserLists, policy: PersonalPolicy, clock: Clock, observer: Observer) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        limits = ReadLimits(policy.reads, policy.pause_s, policy.patience)
        self._reads: BoundedReads[Rung | Skipped] = BoundedReads(RungName.PRECOMPUTED, limits, clock, observer)

    async def step(
        self, user_id: str, asked: Conditions, reason: FallbackReason, left_s: float, *, need_facts: bool = False
    ) -> Rung | Skipped:
        """Returns the user's rung, or why there is none.

        Args:
            user_id: The user.
            asked: Which videos may appear; conditions need the facts of the videos.
            reason: Why the model did not serve.
            left_s: What is left of the request's time, in seconds.
            need_facts: Whether the facts are needed for more than the conditions.
        """
        longest_s = wait_s(self._policy, reason, left_s)
        if isinstance(longest_s, Skip):
            return skipped(longest_s)
        with_facts = need_facts or not unconditional(asked)
        read = self._reads.start(partial(self._read, user_id, with_facts=with_facts))
        found = read if isinstance(read, Skip) else await self._reads.wait(read, longest_s)
        return skipped(found) if isinstance(found, Skip) else found

    async def stop(self) -> None:
        """Ends what is still being read."""
        await self._reads.stop()

    async def _read(self, user_id: str, *, with_facts: bool) -> Rung | Skipped:
        found = await self._store.read(user_id, self._policy.videos, with_facts=with_facts)
        return personal_rung(found, self._clock.wall(), self._policy.max_age_s)
