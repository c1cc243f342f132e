"""Differences between variants, with intervals that hold however often they are looked at; pure.

Users are what is drawn by lot, so users are what is counted: a rate is what all users of a variant did over what they
were shown, and its variance that of a ratio of two sums over users.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

# An interval misses the truth at any time, ever, with at most this probability.
ALPHA: Final = 0.05

# Users at which intervals are least wider than those of a test that is looked at once.
_TUNED_USERS: Final = 10_000
# How firmly the shares of variants are believed before anything is counted, in users.
_BELIEF: Final = 1_000.0
_FEWEST_USERS: Final = 2


class Sums(NamedTuple):
    """What the users of a variant did, added up: of each user a numerator x and a denominator y.

    Args:
        users: How many users.
        x: Sum of the numerators, such as likes.
        y: Sum of the denominators, such as videos shown.
        xx: Sum of x * x.
        yy: Sum of y * y.
        xy: Sum of x * y.
    """

    users: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float


class Rate(NamedTuple):
    """A rate.

    Args:
        value: x / y.
        variance: Variance of the value.
        users: Of how many users.
    """

    value: float
    variance: float
    users: int


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much a variant differs from the control.

    Args:
        value: Rate of the variant less that of the control.
        low: Lower end of its interval.
        high: Upper end of its interval.
        relative: The value over the control's rate; None where that is 0.
    """

    value: float
    low: float
    high: float
    relative: float | None

    @property
    def is_known(self) -> bool:
        """Whether it is certain that they differ, and so in which direction."""
        return not self.low <= 0 <= self.high


def rate_of(sums: Sums) -> Rate | None:
    """Returns a rate and its variance, by the delta method; None where too little is known."""
    n = sums.users
    if n < _FEWEST_USERS or sums.y <= 0:
        return None
    value = sums.x / sums.y
    # Of the users' x - value * y, whose mean is 0.
    spread = (sums.xx - 2 * value * sums.xy + value * value * sums.yy) / (n - 1)
    mean_y = sums.y / n
    return Rate(value, max(0.0, spread) / (n * mean_y * mean_y), n)


def difference(control: Rate, variant: Rate, alpha: float = ALPHA) -> Difference:
    """Returns a difference with an interval that may be looked at at any time, and as often as one likes.

    An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit
    theory and asymptotic confidence sequences", theorem 2.2): an ordinary interval is right once, and looked at daily
    finds a difference between equal variants in every fourth experiment.

    Args:
        control: What it is held against.
        variant: What is tried.
        alpha: Probability that the interval ever misses the truth.
    """
    value = variant.value - control.value
    users = control.users + variant.users
    half = math.sqrt(control.variance + variant.variance) * _stretch(users, alpha)
    relative = value / control.value if control.value else None
    return Difference(value, value - half, value + half, relative)


def mismatch(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Returns how believable it is that users were drawn by these weights, however often that is asked.

    An anytime-valid test of counts (Lindon and Malek 2022, "Anytime-valid inference for multinomial count data"): the
    probability to ever see a value of p or less is at most p where the weights are right.

    Args:
        counts: Users of each variant.
        weights: Their weights, positive.

    Returns:
        0 to 1.
    """
    shares = [weight / sum(weights) for weight in weights]
    prior = [_BELIEF * share for share in shares]
    posterior = [before + count for before, count in zip(prior, counts, strict=True)]
    likely = sum(count * math.log(share) for count, share in zip(counts, shares, strict=True))
    return math.exp(min(0.0, likely - _log_beta(posterior) + _log_beta(prior)))


def _stretch(users: int, alpha: float) -> float:
    """Returns how many standard errors an interval reaches to each side."""
    tuning = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / _TUNED_USERS
    seen = users * tuning
    return math.sqrt(2 * (seen + 1) / seen * math.log(math.sqrt(seen + 1) / alpha))


def _log_beta(values: Sequence[float]) -> float:
    """Returns the logarithm of the multivariate beta function."""
    return sum(map(math.lgamma, values)) - math.lgamma(sum(values))
