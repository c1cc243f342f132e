"""The rung of a user's own list: the only one that waits for anything, and it waits for next to nothing."""

import asyncio

import structlog

from bridge.domain.filters import Conditions, unconditional
from bridge.domain.ladder import Rung, RungName, Skip, Skipped
from bridge.domain.outcome import FallbackReason
from bridge.domain.personal import CoolDown, PersonalPolicy, personal_rung, skipped, wait_s
from bridge.ports import Clock, ListError, UserLists
from bridge.telemetry import ListFailed, ListTrouble, Observer

_LOG = structlog.get_logger(__name__)


class PersonalRung:
    """Reads a user's list when the model does not serve; never fails and never waits longer than it may.

    A read that is not awaited any more runs on by itself to its own, longer, time limit: ending it would cost the
    store a connection. It keeps its place among the few at a time, so a hung store is asked no more.

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
        self._observer = observer
        self._cool_down = CoolDown(policy.pause_s, policy.patience)
        self._reads: set[asyncio.Task[Rung | Skipped]] = set()

    async def step(self, user_id: str, asked: Conditions, reason: FallbackReason, left_s: float) -> Rung | Skipped:
        """Returns the user's rung, or why there is none.

        Args:
            user_id: The user.
            asked: Which videos may appear; conditions need the facts of the videos.
            reason: Why the model did not serve.
            left_s: What is left of the request's time, in seconds.
        """
        allowed_s = self._allowed_s(reason, left_s)
        if isinstance(allowed_s, Skip):
            return skipped(allowed_s)
        read = asyncio.create_task(self._read(user_id, with_facts=not unconditional(asked)), name="user-list")
        self._reads.add(read)
        read.add_done_callback(self._reads.discard)
        await asyncio.wait({read}, timeout=allowed_s)
        if not read.done():
            self._cool_down.late(self._clock.monotonic())
            return skipped(Skip.TIMEOUT)
        self._cool_down.answered()
        return read.result()

    async def stop(self) -> None:
        """Ends what is still being read."""
        reads = tuple(self._reads)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)

    def _allowed_s(self, reason: FallbackReason, left_s: float) -> float | Skip:
        if not self._cool_down.over(self._clock.monotonic()):
            return Skip.UNAVAILABLE
        if len(self._reads) >= self._policy.reads:
            return Skip.BUSY
        return wait_s(self._policy, reason, left_s)

    async def _read(self, user_id: str, *, with_facts: bool) -> Rung | Skipped:
        try:
            found = await self._store.read(user_id, self._policy.videos, with_facts=with_facts)
            return personal_rung(found, self._clock.wall(), self._policy.max_age_s)
        except ListError:
            self._observer.list_failed(ListFailed(RungName.PRECOMPUTED, ListTrouble.UNREADABLE))
        except Exception:  # noqa: BLE001  # a bug here must cost the user's list, not the page
            _LOG.exception("bridge.user_list_failed")
        self._cool_down.failed(self._clock.monotonic())
        return skipped(Skip.UNAVAILABLE)
