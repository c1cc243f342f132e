"""What a model's own choice of new videos would come to, judged by what lots chose; pure.

Horvitz and Thompson 1952 (IPS); Swaminathan and Joachims 2015, "The self-normalized estimator for counterfactual
learning" (SNIPS).
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import Codes
from trainer.domain.bootstrap import Doubles, Draws, Interval, draw
from trainer.domain.dataset import Lists
from trainer.domain.ranking import Scores, rank

Rows: TypeAlias = npt.NDArray[np.int64]

# A model's choice is a lot among so many new videos, its best for the user: with the very best alone, one place in a
# hundred would say something, with ten it is one in ten.
CHOICES: Final = 10

# A place counts for at most so many others; lots among a hundred need 10.
MOST_WEIGHT: Final = 50.0
# Users that the weighted ones must be worth: with fewer, too many intervals miss the truth.
FEWEST_USERS: Final = 100.0
# Share of the choices that no lot could have fallen on: an estimate is silent about them.
MOST_OUTSIDE: Final = 0.2
# A mean weight that is certainly above this cannot be chance.
_MOST_MEAN_WEIGHT: Final = 1.1


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """Places that were kept for new videos, one row each.

    Args:
        user: int64, row of the user, from 0 without a gap.
        video: int64, row of the video that the lot fell on.
        propensity: float64, with which probability it did, above 0.
        accepted: float64, 1 where the user took it up, else 0.
    """

    user: Rows
    video: Rows
    propensity: Doubles
    accepted: Doubles


@dataclass(frozen=True, slots=True)
class Support:
    """How much the log has to say about a model's choices.

    Args:
        places: Kept places.
        users: Users that had them.
        worth_users: How many users of equal weight the weighted ones are worth (Kish 1965).
        weight: Mean weight of a place, with its interval: 1 where lots could fall on every choice.
        cut: Places whose weight was cut to MOST_WEIGHT.
    """

    places: int
    users: int
    worth_users: float
    weight: Interval
    cut: int

    @property
    def outside(self) -> float:
        """Share of the choices that no lot could have fallen on, as far as known; 0 to 1."""
        return max(0.0, 1.0 - self.weight.mean)

    @property
    def refusal(self) -> str | None:
        """Why nothing can be said; None: it can."""
        if self.worth_users < FEWEST_USERS:
            return (
                f"the lots that fell on its choices are worth {self.worth_users:.0f} users, {FEWEST_USERS:.0f} are"
                " needed: wait for more pages with places for new videos (FEED_BRIDGE_EXPLORATION)"
            )
        if self.outside > MOST_OUTSIDE:
            return (
                f"no lot could have fallen on {self.outside:.0%} of its choices, {MOST_OUTSIDE:.0%} is the most:"
                " try it on a share of the users"
            )
        if self.weight.low > _MOST_MEAN_WEIGHT:
            return (
                f"lots fell on its choices {self.weight.mean:.2f} times as often as their propensities say: these are"
                " wrong, or too few lots were drawn"
            )
        return None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Accepted videos per kept place.

    Args:
        served: As the lots chose.
        ips: As the model would have chosen; unbiased where lots could fall on every choice.
        snips: The same, over the weights' sum: hardly biased, and surer.
        lead: `snips` less `served`, of the same users.
    """

    served: Interval
    ips: Interval
    snips: Interval
    lead: Interval


def chances(scores: Scores, seen: Lists, logged: Logged) -> Doubles:
    """Returns with which probability the model would have shown each logged video at its place.

    Args:
        scores: The model; a row a user, and a row a video that it may choose. Videos of the log beside have row -1.
        seen: What it would not show a user.
        logged: The log.

    Returns:
        float64, one a place.
    """
    if not len(scores.item_factors):
        return np.zeros(len(logged.user))
    users = np.arange(len(scores.user_factors), dtype=np.int32)
    nothing = Lists(np.zeros(len(users) + 1, np.int64), np.empty(0, np.int32))
    best: Codes = rank(scores, seen, nothing, users).top[:, :CHOICES]
    counts = np.count_nonzero(best >= 0, axis=1)
    is_choice = (best[logged.user] == logged.video[:, None]).any(axis=1)
    chance: Doubles = is_choice / np.maximum(counts, 1)[logged.user]
    return chance


def judge(logged: Logged, chance: Doubles, seed: int) -> tuple[Support, Estimate | None]:
    """Weighs what came of each place by how much likelier the model would have chosen it.

    Args:
        logged: The log; at least one place.
        chance: float64, with which probability the model would have chosen each.
        seed: Of the bootstrap, which draws users: what one user does is not independent.

    Returns:
        How much there is to go by, and the estimate; None where that is too little.
    """
    weights = chance / logged.propensity
    cut = np.minimum(weights, MOST_WEIGHT)
    columns = (np.ones(len(cut)), logged.accepted, cut, cut * logged.accepted)
    sums = np.column_stack([np.bincount(logged.user, column) for column in columns]).astype(np.float64)
    ratios = _ratios(sums, seed)
    (weight,) = ratios.intervals("weight")
    support = Support(len(cut), len(sums), _worth(sums[:, 2]), weight, int(np.count_nonzero(weights > MOST_WEIGHT)))
    if support.refusal is not None:
        return support, None
    served, ips, snips = (ratios.intervals(name)[0] for name in ("served", "ips", "snips"))
    return support, Estimate(served, ips, snips, ratios.leads("snips", "served")[0])


def _ratios(sums: Doubles, seed: int) -> Draws[str]:
    """Returns the rates that users' sums make, of all users and of users drawn anew.

    Args:
        sums: float64, shape (n_users, 4), columns (places, accepted, weight, weight accepted).
        seed: Of the draws.
    """
    drawn = draw({"sums": sums}, seed)
    means, draws = drawn.means["sums"], drawn.drawn["sums"]
    over = {"served": (1, 0), "weight": (2, 0), "ips": (3, 0), "snips": (3, 2)}
    with np.errstate(invalid="ignore"):
        return Draws(
            {name: means[[above]] / means[[below]] for name, (above, below) in over.items()},
            {name: draws[:, [above]] / draws[:, [below]] for name, (above, below) in over.items()},
        )


def _worth(weights: Doubles) -> float:
    squares = float((weights * weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0
