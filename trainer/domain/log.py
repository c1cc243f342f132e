"""The interaction log, wherever it is held, and its times."""

from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import Codes, Floats, Texts
from trainer.domain.signal import SignalRules

Times: TypeAlias = npt.NDArray[np.float64]
Sums: TypeAlias = npt.NDArray[np.float64]

DAY_S: Final = 86_400.0

# Share of a log that is tested on when it is shorter than two tests.
_SHORT_TEST_SHARE: Final = 0.2

# Least share of a test that may be left of it: a night's training leaves the next one a day, half of it by default.
_LEAST_TEST_SHARE: Final = 0.25

# Less than the millisecond that parts two times of a log, more than a manifest rounds a time by.
_MOMENT_S: Final = 0.0005


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Each user and video that met, unique, ordered by user and then by video.

    Args:
        user: int32 user_index.
        video: int32 item_index.
        weight: float64, that of all interactions of the two, negatives included.
        liked_s: float64 epoch seconds of the newest positive interaction, NaN where there is none.
    """

    user: Codes
    video: Codes
    weight: Sums
    liked_s: Times


@dataclass(frozen=True, slots=True)
class Recent:
    """Which views are of late, and how much they count.

    Args:
        days: Age from which a view is no longer recent, days.
        half_life_days: A recent view this old counts half.
    """

    days: float
    half_life_days: float


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


class InteractionLog(Protocol):
    """Interactions, wherever they are: in no particular order, and perhaps more than this machine could hold.

    `user_index` and `item_index` are the rows of its two text tables; of what comes before or after a time they stay
    the same.
    """

    @property
    def user_ids(self) -> Texts:
        """Sorted text table."""

    @property
    def video_ids(self) -> Texts:
        """Sorted text table."""

    @property
    def first_s(self) -> float:
        """Epoch seconds of the oldest interaction; there is one."""

    @property
    def last_s(self) -> float:
        """Epoch seconds of the newest interaction; there is one."""

    def __len__(self) -> int:
        """Returns the number of interactions."""

    def daily(self) -> DailyCounts:
        """Counts the interactions of each day; there is at least one."""

    def before(self, at_s: float) -> "InteractionLog":
        """Returns the interactions before a time, epoch seconds."""

    def since(self, at_s: float) -> "InteractionLog":
        """Returns the interactions from a time on, epoch seconds."""

    def with_videos(self, video_ids: Texts) -> "InteractionLog":
        """Returns the same interactions with a video table that holds at least the videos of its own."""

    def pairs(self, duration_s: Floats, rules: SignalRules, now_s: float) -> Pairs:
        """Returns what each user and video that met had with each other.

        Args:
            duration_s: Length of each video by row of `video_ids`, seconds; 0 or less is unknown.
            rules: How interactions are weighed.
            now_s: Epoch seconds at which age is zero.
        """

    def recent_views(self, duration_s: Floats, rules: SignalRules, recent: Recent, now_s: float) -> Sums:
        """Returns the long views of late of each video, each halved with age; float64, shape (videos,).

        Args:
            duration_s: As in `pairs`.
            rules: What a long view is.
            recent: What late is.
            now_s: Epoch seconds at which age is zero.
        """


def daily_counts(time_s: Times) -> DailyCounts:
    """Counts the interactions of each day; at least one."""
    day = np.floor_divide(time_s, DAY_S).astype(np.int64)
    first = int(day.min())
    return DailyCounts(first, np.bincount(day - first))


def split_time_s(first_s: float, last_s: float, test_days: float) -> float:
    """Returns the time that parts training from test: the last days, or the last fifth of a short log.

    Args:
        first_s: Time of the oldest interaction.
        last_s: Time of the newest one.
        test_days: Length of the test, days.
    """
    span_s, test_s = last_s - first_s, test_days * DAY_S
    return last_s - (test_s if span_s >= 2 * test_s else _SHORT_TEST_SHARE * span_s)


def split_time_after_s(first_s: float, last_s: float, test_days: float, known_until_s: float) -> float | None:
    """Returns the time that parts training from a test of which a model knows nothing yet.

    Args:
        first_s: Time of the oldest interaction.
        last_s: Time of the newest one.
        test_days: Length of the test, days.
        known_until_s: Time of the newest interaction that the model was trained on.

    Returns:
        The time of `split_time_s` for a model that is older, else the first moment after `known_until_s`; None when
        what came since is too short to measure on.
    """
    ordinary = split_time_s(first_s, last_s, test_days)
    if known_until_s < ordinary:
        return ordinary
    return just_after_s(known_until_s) if last_s - known_until_s >= _LEAST_TEST_SHARE * (last_s - ordinary) else None


def just_after_s(time_s: float) -> float:
    """Returns a time after one of a log and all that are rounded to it, and before the next."""
    return time_s + _MOMENT_S
