"""How sure a mean over users is: the bootstrap, users drawn anew with repeats."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

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


@dataclass(frozen=True, slots=True, eq=False)
class Draws(Generic[KeyT]):
    """Means of tables of users' figures, all with the same draws.

    Args:
        means: By table; float64, shape (columns,).
        drawn: By table; float64, shape (SAMPLES, columns).
    """

    means: Mapping[KeyT, Doubles]
    drawn: Mapping[KeyT, Doubles]

    def intervals(self, key: KeyT) -> list[Interval]:
        """Returns the mean and interval of each column, by percentiles.

        Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
        """
        return _intervals(self.means[key], self.drawn[key])

    def leads(self, key: KeyT, other: KeyT) -> list[Interval]:
        """Returns the difference of two tables of the same users, column by column: paired, for draws are the same."""
        return _intervals(self.means[key] - self.means[other], self.drawn[key] - self.drawn[other])


def draw(tables: Mapping[KeyT, Doubles], seed: int) -> Draws[KeyT]:
    """Draws users and takes the means of their figures.

    Args:
        tables: float64, shape (n_users, columns), by any key; at least one. A user who does not count in a table has
            NaN in the whole row; in each table at least one counts.
        seed: The same seed gives the same draws.
    """
    values = np.column_stack([np.nan_to_num(table) for table in tables.values()])
    counted = np.column_stack([np.isfinite(table[:, 0]) for table in tables.values()]).astype(np.float64)
    widths = [table.shape[1] for table in tables.values()]
    spread = np.repeat(np.arange(len(widths)), widths)
    means = values.sum(axis=0) / counted.sum(axis=0)[spread]
    drawn = _drawn_means(values, counted, spread, seed)
    ends = np.cumsum(widths)[:-1]
    return Draws(
        dict(zip(tables, np.split(means, ends), strict=True)), dict(zip(tables, np.split(drawn, ends, 1), strict=True))
    )


def _drawn_means(values: Doubles, counted: Doubles, spread: npt.NDArray[np.int64], seed: int) -> Doubles:
    """Returns the mean of each column in each draw; NaN where none of its users was drawn.

    Args:
        values: Shape (n_users, columns), 0 for users who do not count.
        counted: Shape (n_users, tables), 1 for users who count.
        spread: Table of each column.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(SAMPLES // _BLOCK_SAMPLES):
        times = _times_drawn(len(values), rng)
        with np.errstate(invalid="ignore"):
            means.append((times @ values) / (times @ counted)[:, spread])
    return np.concatenate(means)


def _times_drawn(users: int, rng: np.random.Generator) -> Doubles:
    drawn = [np.bincount(rng.integers(0, users, users), minlength=users) for _ in range(_BLOCK_SAMPLES)]
    return np.stack(drawn).astype(np.float64)


def _intervals(means: Doubles, drawn: Doubles) -> list[Interval]:
    low, high = np.nanpercentile(drawn, _BOUNDS, axis=0)
    return [Interval(*each) for each in zip(means.tolist(), low.tolist(), high.tolist(), strict=True)]
