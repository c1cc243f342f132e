"""The script that is being played, with its randomness; it can be replaced at any time."""

import random
from collections.abc import Sequence
from typing import Generic

from fakes.script.acts import PLAIN, PLAIN_PAGE, Act, ActT, PageAct, Script, Step
from fakes.script.player import Player


class _Draw(Generic[ActT]):
    """A player with dice: the same seed, the same play."""

    def __init__(self, steps: Sequence[Step[ActT]], plain: ActT, seed: int) -> None:
        self.player = Player(steps, plain)
        self._dice = random.Random(seed)  # noqa: S311  # guards nothing, and must be repeatable

    def next(self) -> tuple[ActT, float]:
        return self.player.play(self._dice.random()), self._dice.random()


class Stage:
    """Says what happens to the next call.

    Args:
        script: What is played first.
    """

    def __init__(self, script: Script) -> None:
        self.replace(script)

    def replace(self, script: Script) -> None:
        """Plays another script from its beginning; calls under way go on as they began."""
        self.script = script
        self._acts = _Draw(script.acts, PLAIN, script.seed)
        self._pages = _Draw(script.pages, PLAIN_PAGE, script.seed)

    def next_act(self) -> tuple[Act, float]:
        """Returns what happens to the scorer's next call, and how long it takes in seconds."""
        act, chance = self._acts.next()
        return act, act.latency.draw(chance)

    def next_page(self) -> tuple[PageAct, float]:
        """Returns what happens to the bridge's next request, and how long it takes at least in seconds."""
        act, chance = self._pages.next()
        return act, act.latency.draw(chance)

    @property
    def serving(self) -> bool:
        """What the scorer's health service says now."""
        step = self._acts.player.current
        return step is None or step.serving

    @property
    def stale(self) -> bool:
        """Whether an old model answers now, or may."""
        step = self._acts.player.current
        return step is not None and any(act.stale_model for _, act in step.choices)
