"""Another order for each session, still a sensible one."""

import numpy as np

from scorer.domain.shortlist import Shortlist, StageInput


def shuffle(best: Shortlist, given: StageInput) -> Shortlist:
    """Adds Gumbel noise to the values: `shuffle` times their spread, drawn from the session's seed.

    With this noise the first place falls to each video with the probability of a softmax of the scores over
    `shuffle` times the spread, the second likewise among the rest, and so on (Yellott 1977): what is much better
    stays ahead, what is about as good takes turns.
    """
    strength = given.stages.shuffle * given.spread
    if given.lots is None or strength <= 0:
        return best
    noise = -np.log(-np.log(given.lots[: len(best.rows)]))
    return best.valued((best.values + strength * noise).astype(np.float32))
