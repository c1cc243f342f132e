"""Plays a list of steps, call by call."""

from collections.abc import Sequence
from typing import Generic

from fakes.script.acts import ActT, Step


class Player(Generic[ActT]):
    """Where a script has got to.

    Args:
        steps: What happens, in order.
        plain: What happens after the last of them, and to the share of calls that a step leaves out.
    """

    def __init__(self, steps: Sequence[Step[ActT]], plain: ActT) -> None:
        self._steps = steps
        self._plain = plain
        self._index = 0
        self._played = 0

    @property
    def current(self) -> Step[ActT] | None:
        """The step that the next call falls into; None after the last."""
        return self._steps[self._index] if self._index < len(self._steps) else None

    def play(self, chance: float) -> ActT:
        """Returns what happens to the next call; `chance` is a random number in [0, 1)."""
        step = self.current
        if step is None:
            return self._plain
        self._played += 1
        if self._played == step.repeat:
            self._index += 1
            self._played = 0
        return self._choice(step, chance)

    def _choice(self, step: Step[ActT], chance: float) -> ActT:
        for share, act in step.choices:
            if chance < share:
                return act
            chance -= share
        return self._plain
