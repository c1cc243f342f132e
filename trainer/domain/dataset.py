"""From a log to what a model is fitted on and masked with."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import Codes, Floats, Offsets
from trainer.domain.log import InteractionLog, Pairs, Recent
from trainer.domain.signal import SignalRules

# A sample weight scales a step of the gradient; far from 1 it would blow up or do nothing.
_WEIGHT_BOUNDS: Final = (0.1, 10.0)


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """One list of videos a user.

    Args:
        offsets: int64, shape (n_users + 1,): a user's videos are `videos[offsets[u]:offsets[u + 1]]`.
        videos: int32 item_index.
    """

    offsets: Offsets
    videos: Codes

    def of(self, user: int) -> Codes:
        """Returns one user's videos."""
        return self.videos[self.offsets[user] : self.offsets[user + 1]]

    def lengths(self) -> npt.NDArray[np.int64]:
        """Returns the length of each user's list."""
        return np.diff(self.offsets)

    def pairs_of(self, users: Codes) -> tuple[npt.NDArray[np.int64], Codes]:
        """Returns the lists of some users in one: the place of each video's user among `users`, and the video."""
        lengths = self.lengths()[users]
        rows = np.repeat(np.arange(len(users)), lengths)
        starts = np.repeat(self.offsets[users] - np.cumsum(lengths) + lengths, lengths)
        return rows, self.videos[starts + np.arange(len(rows))]


@dataclass(frozen=True, slots=True, eq=False)
class Positives:
    """The pairs that a user liked, unique, ordered by user and then by video.

    Args:
        user: int32 user_index.
        video: int32 item_index.
        weight: float32, mean 1.
        time_s: float64 epoch seconds of the newest positive interaction of the pair.
    """

    user: Codes
    video: Codes
    weight: Floats
    time_s: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self.user)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What a model is fitted on.

    Args:
        users: Number of users.
        videos: Number of videos.
        positives: What is learned.
        history: Newest positives of each user, newest first: what the user is described by.
        seen: Everything a user has interacted with: what is not served again.
        recent_views: float64, shape (videos,): long views of late, each halved with age.
    """

    users: int
    videos: int
    positives: Positives
    history: Lists
    seen: Lists
    recent_views: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DatasetRules:
    """How a dataset is built.

    Args:
        signal: How interactions are weighed.
        history_length: Most videos that describe a user.
        recent_days: Age from which a view is no longer recent, days.
        recent_half_life_days: A recent view this old counts half.
    """

    signal: SignalRules
    history_length: int
    recent_days: float
    recent_half_life_days: float


def build_dataset(log: InteractionLog, duration_s: Floats, rules: DatasetRules, now_s: float) -> Dataset:
    """Builds the dataset of a log.

    Args:
        log: The interactions, all before `now_s`.
        duration_s: Length of each video by row of `log.video_ids`, seconds; 0 or less is unknown.
        rules: How.
        now_s: Epoch seconds at which age is zero.
    """
    users, videos = len(log.user_ids), len(log.video_ids)
    pairs = log.pairs(duration_s, rules.signal, now_s)
    positives = _positives(pairs)
    recent = Recent(rules.recent_days, rules.recent_half_life_days)
    return Dataset(
        users,
        videos,
        positives,
        _newest(positives, users, rules.history_length),
        lists_of(users, pairs.user, pairs.video),
        log.recent_views(duration_s, rules.signal, recent, now_s),
    )


def positive_pairs(log: InteractionLog, duration_s: Floats, rules: SignalRules, now_s: float) -> Positives:
    """Finds the pairs with a positive interaction whose weights, negatives included, add up to more than 0."""
    return _positives(log.pairs(duration_s, rules, now_s))


def lists_of(users: int, user: Codes, video: Codes) -> Lists:
    """Groups pairs that are ordered by user into one list a user."""
    offsets = np.zeros(users + 1, np.int64)
    np.cumsum(np.bincount(user, minlength=users), out=offsets[1:])
    return Lists(offsets, video.astype(np.int32))


def _positives(pairs: Pairs) -> Positives:
    kept = np.isfinite(pairs.liked_s) & (pairs.weight > 0)
    return Positives(pairs.user[kept], pairs.video[kept], _scaled(pairs.weight[kept]), pairs.liked_s[kept])


def _scaled(weight: npt.NDArray[np.float64]) -> Floats:
    if not len(weight):
        return weight.astype(np.float32)
    clipped = np.clip(weight / weight.mean(), *_WEIGHT_BOUNDS)
    return np.asarray(clipped / clipped.mean(), np.float32)


def _newest(positives: Positives, users: int, length: int) -> Lists:
    order = np.lexsort((positives.video, -positives.time_s, positives.user))
    user = positives.user[order]
    starts = np.zeros(users + 1, np.int64)
    np.cumsum(np.bincount(user, minlength=users), out=starts[1:])
    kept = np.arange(len(user)) - starts[user] < length
    return lists_of(users, user[kept], positives.video[order][kept])
