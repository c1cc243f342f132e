"""When a fit that is watched ends: once so many validations in a row were no better than the best."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class StoppingRules:
    """How a fit is watched.

    Args:
        patience: Validations in a row without a better one after which it ends; at least 1.
        every: Passes from one validation to the next.
    """

    patience: int
    every: int


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of a fit so far.

    Args:
        passes: The pass of the newest validation, from 1; 0 before the first.
        reached: What was reached then.
        best_passes: The pass after which it was best.
        best: What was reached then.
        worse: Validations since.
    """

    passes: int = 0
    reached: float = -math.inf
    best_passes: int = 0
    best: float = -math.inf
    worse: int = 0

    def after(self, passes: int, reached: float) -> "Watched":
        """Returns what is seen with one validation more; one as good as the best is no better."""
        if reached > self.best:
            return Watched(passes, reached, passes, reached)
        return replace(self, passes=passes, reached=reached, worse=self.worse + 1)

    def is_over(self, rules: StoppingRules) -> bool:
        """Tells whether to wait no longer."""
        return self.worse >= rules.patience
