"""How sure a mean over users is: the bootstrap, users drawn anew with repeats."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Doubles: TypeAlias = npt.NDArray[np.float64]

# The ends of a 95 % interval differ by about 3 % of its width from one seed to another.
SAMPLES: Final = 1000
_BOUNDS: Final = (2.5, 97.5)

# Drawn at a time: the counts of 10,000 users are 4 MB.
_BLOCK_SAMPLES: Final = 50

KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def is_above_zero(self) -> bool:
        """Whether it is above 0 beyond noise."""
        return self.low > 0

    @property
    def is_below_zero(self) -> bool:
        """Whether it is below 0 beyond noise."""
        return self.high < 0


def intervals(columns: Mapping[KeyT, Doubles], seed: int) -> dict[KeyT, Interval]:
    """Finds the 95 % interval of each column's mean, by percentiles.

    All columns are of the same users and get the same draws: the interval of a column of differences is that of the
    paired bootstrap.

    Args:
        columns: float64, shape (n_users,), by any key; NaN for users who do not count there. In each at least one does.
        seed: The same seed gives the same intervals.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if not columns:
        return {}
    values = np.column_stack(list(columns.values()))
    counts = np.isfinite(values)
    known = np.where(counts, values, 0.0)
    means = known.sum(axis=0) / counts.sum(axis=0)
    # A column of few users may not be drawn at all; that draw says nothing of it.
    low, high = np.nanpercentile(_drawn_means(known, counts.astype(np.float64), seed), _BOUNDS, axis=0)
    found = zip(means.tolist(), low.tolist(), high.tolist(), strict=True)
    return {key: Interval(*each) for key, each in zip(columns, found, strict=True)}


def _drawn_means(known: Doubles, counts: Doubles, seed: int) -> Doubles:
    """Returns the mean of each column in each draw, shape (SAMPLES, n_columns)."""
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(SAMPLES // _BLOCK_SAMPLES):
        times = _times_drawn(len(known), rng)
        with np.errstate(invalid="ignore"):
            means.append((times @ known) / (times @ counts))
    return np.concatenate(means)


def _times_drawn(users: int, rng: np.random.Generator) -> Doubles:
    drawn = [np.bincount(rng.integers(0, users, users), minlength=users) for _ in range(_BLOCK_SAMPLES)]
    return np.stack(drawn).astype(np.float64)
