"""pybreaker as the holder of a breaker's state.

Only its public `open`, `half_open`, `close` and its listeners are used. Its `call` and its decorator would hold
one lock for the whole guarded call and count what must not count (measured on 1.4.1).
"""

import sys
from collections.abc import Callable
from typing import Final

import pybreaker

from bridge.domain.breaker import State

_STATES: Final = {
    pybreaker.STATE_CLOSED: State.CLOSED,
    pybreaker.STATE_OPEN: State.OPEN,
    pybreaker.STATE_HALF_OPEN: State.HALF_OPEN,
}


class PybreakerState:
    """The port `StateHolder` on a `pybreaker.CircuitBreaker`.

    Args:
        name: Name of the guarded scorer.
        moved: Told of every transition, the old state and the new one.
    """

    def __init__(self, name: str, moved: Callable[[State, State], None]) -> None:
        # The engine decides, so pybreaker's own counter must never reach its limit.
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=sys.maxsize, name=name, listeners=[_Listener(moved)], throw_new_error_on_trip=False
        )
        self._enter = {
            State.OPEN: self._breaker.open,
            State.HALF_OPEN: self._breaker.half_open,
            State.CLOSED: self._breaker.close,
        }

    @property
    def state(self) -> State:
        """The state now."""
        return _STATES[self._breaker.current_state]

    def enter(self, state: State) -> None:
        """Moves to another state and tells the listeners."""
        self._enter[state]()


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, moved: Callable[[State, State], None]) -> None:
        self._moved = moved

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        """Passes a transition on in our words."""
        del cb
        old = _STATES[old_state.name] if old_state else State.CLOSED
        self._moved(old, _STATES[new_state.name])
