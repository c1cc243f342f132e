"""Users and videos of whom too little is known to learn them: the cold ones.

A model is fitted without them, and they are put in afterwards by what it has learned of others: users by what the
videos say that they liked, videos by nothing but how much they are watched.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trainer.domain.dataset import Dataset, Lists, Positives, lists_of
from trainer.domain.model import FactorModel, said_by_likes


class NothingToLearnError(Exception):
    """Nobody has as many positives as the settings ask for; lower FEED_TRAINER_MIN_USER_POSITIVES or the videos'."""


@dataclass(frozen=True, slots=True)
class Minimums:
    """From how many positives on something is learned.

    Args:
        user: Of a user.
        video: Of a video.
    """

    user: int
    video: int


def known_part(dataset: Dataset, minimums: Minimums) -> Dataset:
    """Returns what a model is fitted on: without the positives of cold users and videos, these in no history.

    Args:
        dataset: Everything that was liked.
        minimums: Who and what is cold; each is counted by itself, whatever is left of the other.

    Raises:
        NothingToLearnError: When no positive is left.
    """
    positives, history = dataset.positives, dataset.history
    users = np.bincount(positives.user, minlength=dataset.users) >= minimums.user
    videos = np.bincount(positives.video, minlength=dataset.videos) >= minimums.video
    kept = users[positives.user] & videos[positives.video]
    if not kept.any():
        raise NothingToLearnError(
            f"no user with FEED_TRAINER_MIN_USER_POSITIVES={minimums.user} positives liked a video with"
            f" FEED_TRAINER_MIN_VIDEO_POSITIVES={minimums.video}; lower them"
        )
    return replace(dataset, positives=_rows(positives, kept), history=_only(history, videos))


def with_cold(model: FactorModel, known: Dataset) -> FactorModel:
    """Returns the model with cold users and videos in it.

    A cold user's row is what the liked videos say, as if each had been folded in. A cold video has the bias that the
    fit left it with, below that of nearly all others, and neither its embedding nor its likes say anything: what ranks
    it is the prior, which grows with its views.

    Args:
        model: Fitted on `known`.
        known: What `known_part` returned.
    """
    users, items, history = model.user_factors.copy(), model.item_factors.copy(), model.history_factors.copy()
    cold_videos = np.bincount(known.positives.video, minlength=known.videos) == 0
    items[cold_videos, 2:] = 0
    history[cold_videos, 1:] = 0
    cold_users = np.bincount(known.positives.user, minlength=known.users) == 0
    users[cold_users, 1:] = said_by_likes(history, known.history)[cold_users, 1:]
    return FactorModel(users, items, history)


def _rows(positives: Positives, kept: npt.NDArray[np.bool_]) -> Positives:
    return Positives(positives.user[kept], positives.video[kept], positives.weight[kept], positives.time_s[kept])


def _only(lists: Lists, kept: npt.NDArray[np.bool_]) -> Lists:
    users = len(lists.offsets) - 1
    user = np.repeat(np.arange(users, dtype=np.int32), lists.lengths())
    is_kept = kept[lists.videos]
    return lists_of(users, user[is_kept], lists.videos[is_kept])
