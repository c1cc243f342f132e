"""The door of the service: who is served by scorers, who from the ladder at once, and who is sent away."""

from typing import Final

import msgspec

from bridge.attempts import Answered
from bridge.domain.limiter import AdaptiveLimit
from bridge.domain.outcome import FallbackReason, Verdict
from bridge.domain.overload import Decision, Overload
from bridge.ports import Chance, Clock, Waits
from bridge.telemetry import Observer, RequestRefused
from runtime.errors import ResourceExhaustedError

REFUSAL: Final = "too many requests at once; nothing was done"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A request that was let in.

    Args:
        waited_s: How long it had waited before it began, in seconds.
        shed: Whether scorers are not to be asked.
    """

    waited_s: float
    shed: bool


class Admission:
    """Decides about each request as it begins, and about each that wants to ask scorers.

    Args:
        overload: Says what is done.
        limit: How many may ask scorers at a time.
        waits: How long requests wait before they begin.
        clock: Time.
        chance: Randomness.
        observer: Who is told of refusals.
    """

    def __init__(
        self,
        overload: Overload,
        limit: AdaptiveLimit,
        waits: Waits,
        clock: Clock,
        chance: Chance,
        observer: Observer,
    ) -> None:
        self._overload = overload
        self._limit = limit
        self._waits = waits
        self._clock = clock
        self._chance = chance
        self._observer = observer

    def enter(self, now: float, in_flight: int) -> Entry:
        """Lets a request in.

        Args:
            now: The present, in monotonic seconds.
            in_flight: Requests under way, without it.

        Raises:
            ResourceExhaustedError: When there are more requests than can be answered in time, whatever is done.
        """
        waited_s = self._waits.lag_s(now)
        decision = self._overload.decide(now, waited_s, in_flight)
        if decision is Decision.REFUSE:
            wait_s = self._overload.retry_after_s(self._chance.jitter())
            self._observer.request_refused(RequestRefused(wait_s))
            raise ResourceExhaustedError("OVERLOAD", REFUSAL, retry_after_s=wait_s)
        return Entry(waited_s, shed=decision is Decision.SHED)

    def may_ask(self, entry: Entry) -> bool:
        """Says whether a request may ask scorers; if so, `asked` must follow."""
        return not entry.shed and self._limit.acquire()

    def asked(self, start: float, answer: Answered | FallbackReason | None) -> None:
        """Ends what `may_ask` allowed.

        Args:
            start: When it was allowed, in monotonic seconds.
            answer: What came of it; None when the asking broke off.
        """
        self._limit.release(start, self._clock.monotonic(), _verdict(answer), refused=answer is FallbackReason.OVERLOAD)


def _verdict(answer: Answered | FallbackReason | None) -> Verdict:
    if answer is None:
        return Verdict.IGNORED
    return Verdict.FAILURE if isinstance(answer, FallbackReason) else Verdict.SUCCESS
