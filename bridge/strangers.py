"""Users whom no model knows: what is known of them beside what they did, read once and kept for a while."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Protocol

from bridge.bounded_reads import BoundedReads, ReadLimits
from bridge.domain.ladder import Skip
from bridge.ports import Clock, UserReader
from bridge.telemetry import Observer

USER_FEATURES: Final = "user_features"


class Strangers(Protocol):
    """Knows of users whom the models do not know."""

    def known(self, user_id: str) -> Sequence[str] | None:
        """Returns what was read of a user, such as `country=AT`; None: nothing was read of late. Does not wait."""

    async def read(self, user_id: str, locale: str, country: str, left_s: float) -> Sequence[str]:
        """Reads what is known of a user and keeps it; waits a few ms at most, never fails.

        Args:
            user_id: The user.
            locale: Of the request (BCP 47); empty: unknown.
            country: Of the request (ISO 3166-1 alpha-2); empty: unknown.
            left_s: What is left of the request's time, in seconds; not all of it is used.
        """


class NothingKnown:
    """Knows nothing of anybody."""

    def known(self, user_id: str) -> Sequence[str]:
        """Returns nothing."""
        del user_id
        return ()

    async def read(self, user_id: str, locale: str, country: str, left_s: float) -> Sequence[str]:
        """Returns nothing."""
        del user_id, locale, country, left_s
        return ()


@dataclass(frozen=True, slots=True)
class StrangersPolicy:
    """How strangers are read and kept.

    Args:
        users: Most users kept; who was not here for longest is forgotten first.
        kept_s: How long, in seconds.
        wait_s: Longest wait for a read, in seconds.
        margin_s: What is left to the page after a wait, in seconds.
        reads: Most reads at a time.
    """

    users: int = 10_000
    kept_s: float = 600.0
    wait_s: float = 0.005
    margin_s: float = 0.005
    reads: int = 4


class _Kept(NamedTuple):
    words: Sequence[str]
    until: float


class KeptStrangers:
    """Reads what is known of a user when a model does not know the user, and keeps it.

    Args:
        reader: Where users are.
        policy: How they are read and kept.
        clock: Time.
        observer: Who is told of troubles.
    """

    def __init__(self, reader: UserReader, policy: StrangersPolicy, clock: Clock, observer: Observer) -> None:
        self._reader = reader
        self._policy = policy
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._reads: BoundedReads[Sequence[str]] = BoundedReads(
            USER_FEATURES, ReadLimits(policy.reads), clock, observer
        )

    def known(self, user_id: str) -> Sequence[str] | None:
        """Returns what was read of a user; None: nothing was read of late."""
        kept = self._kept.get(user_id)
        if kept is None or kept.until < self._clock.monotonic():
            return None
        self._kept.move_to_end(user_id)
        return kept.words

    async def read(self, user_id: str, locale: str, country: str, left_s: float) -> Sequence[str]:
        """Reads what is known of a user and keeps it; waits a few ms at most, never fails."""
        longest_s = min(self._policy.wait_s, left_s - self._policy.margin_s)
        read = self._reads.start(partial(self._read, user_id, locale, country), user_id)
        if isinstance(read, Skip) or longest_s <= 0:
            return ()
        words = await self._reads.wait(read, longest_s)
        return () if isinstance(words, Skip) else words

    def forget(self, user_id: str) -> None:
        """Forgets a user."""
        self._kept.pop(user_id, None)

    async def stop(self) -> None:
        """Ends what is still being read."""
        await self._reads.stop()

    async def _read(self, user_id: str, locale: str, country: str) -> Sequence[str]:
        words = await self._reader.words(user_id, locale, country)
        self._kept[user_id] = _Kept(words, self._clock.monotonic() + self._policy.kept_s)
        self._kept.move_to_end(user_id)
        while len(self._kept) > self._policy.users:
            self._kept.popitem(last=False)
        return words
