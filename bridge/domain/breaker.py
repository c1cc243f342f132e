"""The circuit breaker of one scorer: decides when calls are let through.

The state itself is held by a `StateHolder` (in production pybreaker), so there is one truth about it. The
engine only asks for the state and tells it where to go. It never waits and reads no clock.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from bridge.domain.outcome import Verdict


class State(StrEnum):
    """Where a breaker stands; the words are pybreaker's."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Mode(StrEnum):
    """Who decides where a breaker stands: calls, or an operator who holds it open or closed."""

    AUTO = "auto"
    OPEN = "open"
    CLOSED = "closed"


class Trigger(StrEnum):
    """What can move a breaker."""

    TRIPPED = "tripped"
    WAITED = "waited"
    RETURNED = "returned"
    PROBES_PASSED = "probes_passed"
    PROBE_FAILED = "probe_failed"
    NOTHING_LEARNED = "nothing_learned"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    RELEASED = "released"


# A missing key means that the trigger cannot occur in that state. Held open, a breaker is OPEN, held closed it is
# CLOSED: so where it goes when it is let go follows from where it stands.
TRANSITIONS: Final = {
    (State.CLOSED, Trigger.TRIPPED): State.OPEN,
    (State.OPEN, Trigger.WAITED): State.HALF_OPEN,
    (State.OPEN, Trigger.RETURNED): State.HALF_OPEN,
    (State.HALF_OPEN, Trigger.PROBES_PASSED): State.CLOSED,
    (State.HALF_OPEN, Trigger.PROBE_FAILED): State.OPEN,
    (State.HALF_OPEN, Trigger.NOTHING_LEARNED): State.OPEN,
    (State.CLOSED, Trigger.FORCED_OPEN): State.OPEN,
    (State.OPEN, Trigger.FORCED_OPEN): State.OPEN,
    (State.HALF_OPEN, Trigger.FORCED_OPEN): State.OPEN,
    (State.CLOSED, Trigger.FORCED_CLOSED): State.CLOSED,
    (State.OPEN, Trigger.FORCED_CLOSED): State.CLOSED,
    (State.HALF_OPEN, Trigger.FORCED_CLOSED): State.CLOSED,
    (State.OPEN, Trigger.RELEASED): State.HALF_OPEN,
    (State.CLOSED, Trigger.RELEASED): State.CLOSED,
}

_MODE_TRIGGERS: Final = {
    Mode.OPEN: Trigger.FORCED_OPEN,
    Mode.CLOSED: Trigger.FORCED_CLOSED,
    Mode.AUTO: Trigger.RELEASED,
}


class StateHolder(Protocol):
    """Holds the state of a breaker and tells its listeners when it changes."""

    @property
    def state(self) -> State:
        """The state now."""

    def enter(self, state: State) -> None:
        """Moves to another state."""


class MemoryState:
    """The simplest holder: a variable."""

    def __init__(self) -> None:
        self.state = State.CLOSED

    def enter(self, state: State) -> None:
        """Moves to another state."""
        self.state = state


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker moves. Counts are calls, times are seconds, shares are 0 to 1.

    Args:
        window_calls: How many past calls are judged.
        window_s: How old a judged call may be.
        min_calls: Fewer calls than this are not judged by their shares.
        consecutive_failures: This many failures in a row trip it, however few the calls.
        failure_share: This share of failures trips it.
        slow_share: This share of slow calls trips it.
        slow_s: A call that took longer is slow.
        open_s: First open time; doubled each time the probes fail.
        open_max_s: Longest open time.
        jitter_share: The open time varies by this share up and down, so that processes do not probe in step.
        probes: Concurrent probes when half-open, and successes needed to close.
        probe_s: An unanswered probe older than this counts as failed, so that a lost one cannot hold its place.
        half_open_s: Half-open for longer than this without one success or failure opens again, with the next call: so
            that it is over within 2 s.
    """

    window_calls: int = 50
    window_s: float = 10.0
    min_calls: int = 20
    consecutive_failures: int = 10
    failure_share: float = 0.5
    slow_share: float = 0.5
    slow_s: float = 0.100
    open_s: float = 1.0
    open_max_s: float = 30.0
    jitter_share: float = 0.2
    probes: int = 3
    probe_s: float = 1.0
    half_open_s: float = 1.9


class Permit(msgspec.Struct, frozen=True, gc=False):
    """Leave for one call; `record` it exactly once.

    Args:
        number: Its number in this breaker.
        epoch: How often the breaker had moved when it was given: the end of a call from an earlier epoch is
            no news.
        start: When it was given, in monotonic seconds.
    """

    number: int
    epoch: int
    start: float


@dataclass(slots=True)
class Window:
    """The last calls, with running counts, so that judging costs the same however many there are."""

    policy: BreakerPolicy
    calls: deque[tuple[float, bool, bool]] = field(default_factory=deque)
    failed: int = 0
    slow: int = 0
    in_a_row: int = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Adds a call and forgets those that are too many or too old."""
        self.calls.append((now, failed, slow))
        self.failed += failed
        self.slow += slow
        self.in_a_row = self.in_a_row + 1 if failed else 0
        while len(self.calls) > self.policy.window_calls or self.calls[0][0] <= now - self.policy.window_s:
            _, old_failed, old_slow = self.calls.popleft()
            self.failed -= old_failed
            self.slow -= old_slow

    @property
    def bad(self) -> bool:
        """Whether these calls trip the breaker."""
        if self.in_a_row >= self.policy.consecutive_failures:
            return True
        count = len(self.calls)
        if count < self.policy.min_calls:
            return False
        return self.failed >= count * self.policy.failure_share or self.slow >= count * self.policy.slow_share


class Breaker:
    """One breaker. Not for use from several threads.

    Args:
        policy: When it moves.
        holder: Where its state lives.
    """

    def __init__(self, policy: BreakerPolicy, holder: StateHolder) -> None:
        self._policy = policy
        self._holder = holder
        self._window = Window(policy)
        self._probes: dict[int, float] = {}
        self._passed = 0
        self._failed_opens = 0
        self._probing_since: float | None = None
        self._open_until = float("-inf")
        self._mode = Mode.AUTO
        self._epoch = 0
        self._number = 0
        self._admit = {
            State.CLOSED: self._admit_closed,
            State.OPEN: self._admit_open,
            State.HALF_OPEN: self._admit_half_open,
        }

    @property
    def state(self) -> State:
        """The state as it was left by the last call; time alone moves nothing."""
        return self._holder.state

    @property
    def mode(self) -> Mode:
        """Whether it decides itself or is held."""
        return self._mode

    def force(self, mode: Mode) -> None:
        """Holds it open (no call is let through) or closed (every call is, and none counts), or lets it go.

        Let go from open it probes, from closed it starts with an empty window.
        """
        if mode is self._mode:
            return
        self._mode = mode
        self._failed_opens = 0
        self._move(_MODE_TRIGGERS[mode])

    def acquire(self, now: float, jitter: float) -> Permit | None:
        """Asks for leave to call.

        Args:
            now: The present, in monotonic seconds.
            jitter: A random number in [0, 1), for the open time should this open it.

        Returns:
            A permit, or None when the call must not be made.
        """
        return self._admit[self._holder.state](now, jitter)

    def record(self, permit: Permit, verdict: Verdict, now: float, jitter: float) -> None:
        """Says how a permitted call ended."""
        if permit.epoch != self._epoch or verdict is Verdict.IGNORED or self._mode is Mode.CLOSED:
            self._probes.pop(permit.number, None)
        elif self._holder.state is State.HALF_OPEN:
            self._record_probe(permit, verdict, now, jitter)
        else:
            self._record_call(permit, verdict, now, jitter)

    def returned(self) -> None:
        """Says that the scorer, seen down while the breaker was open, is up again: probes need not wait longer.

        Nor do the failures of before count against the server that came back: should its first call be a slow one, it
        is asked again soon, and not after the long open time of the outage.
        """
        self._failed_opens = 0
        if self._holder.state is State.OPEN and self._mode is Mode.AUTO:
            self._move(Trigger.RETURNED)

    def _admit_closed(self, now: float, _jitter: float) -> Permit | None:
        return self._permit(now)

    def _admit_open(self, now: float, jitter: float) -> Permit | None:
        if self._mode is Mode.OPEN or now < self._open_until:
            return None
        self._move(Trigger.WAITED)
        return self._admit_half_open(now, jitter)

    def _admit_half_open(self, now: float, jitter: float) -> Permit | None:
        if any(now - start > self._policy.probe_s for start in self._probes.values()):
            self._open_again(Trigger.PROBE_FAILED, now, jitter)
            return None
        if self._nothing_learned(now):
            self._open_again(Trigger.NOTHING_LEARNED, now, jitter)
            return None
        if len(self._probes) >= self._policy.probes:
            return None
        permit = self._permit(now)
        self._probes[permit.number] = now
        if self._probing_since is None:
            self._probing_since = now
        return permit

    def _nothing_learned(self, now: float) -> bool:
        since = self._probing_since
        return since is not None and self._passed == 0 and now - since > self._policy.half_open_s

    def _record_call(self, permit: Permit, verdict: Verdict, now: float, jitter: float) -> None:
        slow = now - permit.start > self._policy.slow_s
        self._window.add(now, failed=verdict is Verdict.FAILURE, slow=slow)
        if self._window.bad:
            self._open(Trigger.TRIPPED, now, jitter)

    def _record_probe(self, permit: Permit, verdict: Verdict, now: float, jitter: float) -> None:
        start = self._probes.pop(permit.number, None)
        if start is None:
            return
        if verdict is Verdict.FAILURE or now - start > self._policy.slow_s:
            self._open_again(Trigger.PROBE_FAILED, now, jitter)
            return
        self._passed += 1
        if self._passed >= self._policy.probes:
            self._failed_opens = 0
            self._move(Trigger.PROBES_PASSED)

    def _open_again(self, trigger: Trigger, now: float, jitter: float) -> None:
        # Only a failed probe is news that the scorer is still ill; the count is capped far above what matters.
        self._failed_opens = min(16, self._failed_opens + (trigger is Trigger.PROBE_FAILED))
        self._open(trigger, now, jitter)

    def _open(self, trigger: Trigger, now: float, jitter: float) -> None:
        open_s = min(self._policy.open_max_s, self._policy.open_s * 2**self._failed_opens)
        self._open_until = now + open_s * (1 + self._policy.jitter_share * (2 * jitter - 1))
        self._move(trigger)

    def _move(self, trigger: Trigger) -> None:
        target = TRANSITIONS[self._holder.state, trigger]
        self._epoch += 1
        self._probes.clear()
        self._probing_since = None
        self._passed = 0
        self._window = Window(self._policy)
        if target is not self._holder.state:
            self._holder.enter(target)

    def _permit(self, now: float) -> Permit:
        self._number += 1
        return Permit(self._number, self._epoch, now)
