"""What the best videos go through before they are served; the order is data."""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from scorer.domain.diversity import hold_back, part_runs
from scorer.domain.exploration import explore
from scorer.domain.shortlist import Shortlist, StageInput
from scorer.domain.shuffle import shuffle

Stage: TypeAlias = Callable[[Shortlist, StageInput], Shortlist]


def never_rise(best: Shortlist, given: StageInput) -> Shortlist:
    """Lowers each value to the one before it, so that pages can be put together by their scores."""
    del given
    return Shortlist(best.rows, np.minimum.accumulate(best.values), best.explored, best.propensities)


# Runs are parted after the new videos have come in, for these may make a run longer.
ORDER: Final[tuple[Stage, ...]] = (shuffle, hold_back, explore, part_runs, never_rise)


def staged(best: Shortlist, given: StageInput, order: tuple[Stage, ...] = ORDER) -> Shortlist:
    """Takes the best videos through the stages; one that is off hands on what it was given."""
    for stage in order:
        best = stage(best, given)
    return best
