"""Whom a model is measured for beside everybody: by how well users are known, and on videos that few have met."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from trainer.domain.bootstrap import Doubles
from trainer.domain.dataset import Dataset
from trainer.domain.ranking import Rankings
from trainer.domain.ranking_metrics import Measured, Truth, user_values

ALL: Final = "all"
NEW_VIDEOS: Final = "new videos"

# From so many videos liked on a user is heavy; those of KuaiRand who liked any had liked 12 in the median.
HEAVY_LIKES: Final = 10
# Fewer users than this have met a new video; the scorer explores by the same bound (decision 0029).
NEW_BELOW_USERS: Final = 20
# Of fewer users an interval says nothing.
LEAST_USERS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Who is in which segment.

    Args:
        users: By name; bool, shape (n_measured_users,).
        is_new: bool, shape (n_videos,): few users have met the video.
    """

    users: dict[str, npt.NDArray[np.bool_]]
    is_new: npt.NDArray[np.bool_]


def segments_of(train: Dataset, truth: Truth) -> Segments:
    """Parts the measured users by how many videos they had liked, and finds the new videos."""
    liked = np.bincount(train.positives.user, minlength=train.users)[truth.users]
    met = np.bincount(train.seen.videos, minlength=train.videos)
    users = {
        ALL: np.ones(len(liked), np.bool_),
        "cold users": liked == 0,
        "light users": (liked > 0) & (liked < HEAVY_LIKES),
        "heavy users": liked >= HEAVY_LIKES,
    }
    return Segments(users, met < NEW_BELOW_USERS)


def values_by_segment(rankings: Rankings, truth: Truth, measured: Measured, segments: Segments) -> dict[str, Doubles]:
    """Returns each user's figures by segment, NaN for users who are not in it; shape as in `user_values`.

    Of new videos every user is measured who liked one: only these count as found, among all videos.
    """
    found = {name: np.where(chosen[:, None], measured.values, np.nan) for name, chosen in segments.users.items()}
    found[NEW_VIDEOS] = user_values(rankings, truth, segments.is_new)
    return {name: values for name, values in found.items() if users_in(values) >= LEAST_USERS or name == ALL}


def users_in(values: Doubles) -> int:
    """Counts the users of a segment."""
    return int(np.isfinite(values[:, 0]).sum())
