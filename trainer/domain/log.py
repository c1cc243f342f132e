"""The interaction log as columns, and the videos it speaks of."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from runtime.model_bundle import Codes, Texts

Times: TypeAlias = npt.NDArray[np.float64]
Ratings: TypeAlias = npt.NDArray[np.float32]

DAY_S: Final = 86_400.0

# Share of a log that is tested on when it is shorter than two tests.
_SHORT_TEST_SHARE: Final = 0.2

# Least share of a test that may be left of it: a night's training leaves the next one a day, half of it by default.
_LEAST_TEST_SHARE: Final = 0.25

# Less than the millisecond that parts two times of a log, more than a manifest rounds a time by.
_MOMENT_S: Final = 0.0005


class Kind(IntEnum):
    """The interaction types by the names of the contract; the numbers are only used inside."""

    VIEW = 0
    CLICK = 1
    LIKE = 2
    SHARE = 3
    COMMENT = 4
    FOLLOW = 5
    SKIP = 6
    HIDE = 7
    RATE = 8


@dataclass(frozen=True, slots=True, eq=False)
class InteractionLog:
    """Interactions in columns of one length, in no particular order.

    Args:
        user_ids: Sorted text table.
        video_ids: Sorted text table.
        user: int32 row of `user_ids`.
        video: int32 row of `video_ids`.
        kind: int8 Kind.
        watch_time_s: float32 seconds watched.
        rating: float32 rating 0 to 10, NaN where there is none.
        time_s: float64 epoch seconds.
    """

    user_ids: Texts
    video_ids: Texts
    user: Codes
    video: Codes
    kind: npt.NDArray[np.int8]
    watch_time_s: npt.NDArray[np.float32]
    rating: Ratings
    time_s: Times

    def __len__(self) -> int:
        """Returns the number of interactions."""
        return len(self.user)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "InteractionLog":
        """Returns the chosen interactions; ids keep their rows."""
        return InteractionLog(
            self.user_ids,
            self.video_ids,
            self.user[chosen],
            self.video[chosen],
            self.kind[chosen],
            self.watch_time_s[chosen],
            self.rating[chosen],
            self.time_s[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class DailyCounts:
    """How many interactions each UTC day has, from the first to the last.

    Args:
        first_day: Days from 1970-01-01 to the first.
        counts: int64, one a day; at least one.
    """

    first_day: int
    counts: npt.NDArray[np.int64]

    @property
    def missing(self) -> int:
        """Days without an interaction."""
        return int(np.count_nonzero(self.counts == 0))


def daily_counts(time_s: Times) -> DailyCounts:
    """Counts the interactions of each day; at least one."""
    day = np.floor_divide(time_s, DAY_S).astype(np.int64)
    first = int(day.min())
    return DailyCounts(first, np.bincount(day - first))


def split_time_s(time_s: Times, test_days: float) -> float:
    """Returns the time that parts training from test: the last days, or the last fifth of a short log.

    Args:
        time_s: Times of the interactions; at least one.
        test_days: Length of the test, days.
    """
    first, last = float(time_s.min()), float(time_s.max())
    span_s, test_s = last - first, test_days * DAY_S
    return last - (test_s if span_s >= 2 * test_s else _SHORT_TEST_SHARE * span_s)


def split_time_after_s(time_s: Times, test_days: float, known_until_s: float) -> float | None:
    """Returns the time that parts training from a test of which a model knows nothing yet.

    Args:
        time_s: Times of the interactions; at least one.
        test_days: Length of the test, days.
        known_until_s: Time of the newest interaction that the model was trained on.

    Returns:
        The time of `split_time_s` for a model that is older, else the first moment after `known_until_s`; None when
        what came since is too short to measure on.
    """
    last = float(time_s.max())
    ordinary = split_time_s(time_s, test_days)
    if known_until_s < ordinary:
        return ordinary
    return just_after_s(known_until_s) if last - known_until_s >= _LEAST_TEST_SHARE * (last - ordinary) else None


def just_after_s(time_s: float) -> float:
    """Returns a time after one of a log and all that are rounded to it, and before the next."""
    return time_s + _MOMENT_S
