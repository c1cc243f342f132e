"""How good rankings are: vectorised, binary gains, a row of figures for each user."""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import Codes
from trainer.domain.bootstrap import Doubles
from trainer.domain.dataset import Lists
from trainer.domain.ranking import Rankings

TOP: Final = 10

# What is known of each user; the rest is known of all rankings together.
PER_USER: Final = (
    "ndcg_at_10",
    "recall_at_50",
    "map_at_10",
    "auc",
    "precision_at_10",
    "hit_rate_at_10",
    "novelty_at_10",
    "popularity_bias_at_10",
)

_DISCOUNT: Final = 1.0 / np.log2(np.arange(2, TOP + 2))
_BEST_DCG: Final = np.cumsum(_DISCOUNT)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What rankings are held against.

    Args:
        users: user_index of the users to measure.
        positives: What each user liked afterwards; every user of `users` at least one.
        likes: int64, shape (n_videos,): users who had liked each video before.
    """

    users: Codes
    positives: Lists
    likes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RankingMetrics:
    """Means over the users, and what is known of all rankings together.

    Args:
        ndcg_at_10: DCG of the first ten over the best possible for min(10, positives).
        recall_at_50: Positives found in the first fifty over positives.
        map_at_10: Precision at each positive of the first ten, summed, over min(10, positives).
        auc: Share of the other videos that a positive is ranked above, ties by half, over all videos. NaN where only
            the top is known.
        precision_at_10: Positives among the first ten, over ten.
        hit_rate_at_10: Share of users with a positive among the first ten.
        novelty_at_10: Mean self-information of the first ten, bits: -log2 of a video's share of all likes before.
        popularity_bias_at_10: Mean popularity of the first ten less that of the user's positives, each as the share of
            videos that are less popular: 0 when users are shown what is as popular as what they like, 1 at most.
        coverage_at_10: Share of all videos that are in somebody's first ten.
        gini_at_10: Gini coefficient of how often each video is in a first ten: 0 all alike, 1 always the same one.
        overlap_at_10: Share of the first ten that two users have in common, mean over pairs.
        users: How many users were measured.
    """

    ndcg_at_10: float
    recall_at_50: float
    map_at_10: float
    auc: float
    precision_at_10: float
    hit_rate_at_10: float
    novelty_at_10: float
    popularity_bias_at_10: float
    coverage_at_10: float
    gini_at_10: float
    overlap_at_10: float
    users: int

    def named(self, prefix: str = "") -> dict[str, float]:
        """Returns the metrics by name."""
        return {prefix + name: float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Rankings held against the truth.

    Args:
        values: float64, shape (n_users, len(PER_USER)).
        shown: int64, shape (n_videos,): in how many first tens each video is.
    """

    values: Doubles
    shown: npt.NDArray[np.int64]

    @property
    def metrics(self) -> RankingMetrics:
        """The means, and what is known of all rankings together."""
        means = dict(zip(PER_USER, self.values.mean(axis=0).tolist(), strict=True))
        return RankingMetrics(
            **means,
            coverage_at_10=float(np.count_nonzero(self.shown) / len(self.shown)),
            gini_at_10=_gini(self.shown),
            overlap_at_10=_overlap(self.shown, len(self.values)),
            users=len(self.values),
        )


def measure(rankings: Rankings, truth: Truth) -> Measured:
    """Measures rankings, one a user of the truth."""
    top = rankings.top[:, :TOP]
    shown = np.bincount(top[top >= 0], minlength=len(truth.likes))
    return Measured(user_values(rankings, truth, np.ones(len(truth.likes), np.bool_)), shown)


def user_values(rankings: Rankings, truth: Truth, counted: npt.NDArray[np.bool_]) -> Doubles:
    """Measures each user's ranking, float64, shape (n_users, len(PER_USER)).

    Args:
        rankings: One a user of the truth.
        truth: What they are held against.
        counted: Shape (n_videos,): positives that count as found; users without one get NaN.
    """
    row, video = truth.positives.pairs_of(truth.users)
    kept = counted[video]
    row, video = row[kept], video[kept]
    count = np.bincount(row, minlength=len(truth.users))
    hits = _hits(rankings.top, row, video, len(truth.likes))
    first = hits[:, :TOP]
    popularity = _popularity(truth.likes)
    # Users without a counted positive divide by zero; theirs are NaN in the end.
    each = np.maximum(count, 1)
    columns = (
        (first @ _DISCOUNT[: first.shape[1]]) / _BEST_DCG[np.minimum(each, TOP) - 1],
        hits.sum(axis=1) / each,
        _average_precision(first) / np.minimum(each, TOP),
        _auc(rankings, row, kept, each),
        first.sum(axis=1) / TOP,
        first.any(axis=1),
        _mean_of_top(_information(truth), rankings.top),
        _mean_of_top(popularity, rankings.top) - np.bincount(row, popularity[video], len(each)) / each,
    )
    values = np.column_stack(columns).astype(np.float64)
    values[count == 0] = np.nan
    return values


def _hits(top: Codes, row: npt.NDArray[np.int64], video: Codes, videos: int) -> npt.NDArray[np.bool_]:
    """Tells which ranked videos are positives of their user."""
    ranked = np.arange(len(top), dtype=np.int64)[:, None] * videos + top
    return np.isin(ranked, row * videos + video) & (top >= 0)


def _average_precision(first: npt.NDArray[np.bool_]) -> Doubles:
    precision = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return np.asarray((precision * first).sum(axis=1), np.float64)


def _auc(
    rankings: Rankings, row: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_], count: npt.NDArray[np.int64]
) -> Doubles:
    if rankings.beaten is None:
        return np.full(len(count), np.nan)
    return np.bincount(row, rankings.beaten[kept], len(count)) / count


def _information(truth: Truth) -> Doubles:
    """Returns the bits of each video; one like more for each, so that one without has a share too."""
    return np.asarray(-np.log2((truth.likes + 1) / (truth.likes.sum() + len(truth.likes))), np.float64)


def _popularity(likes: npt.NDArray[np.int64]) -> Doubles:
    """Returns the share of videos with fewer likes, those with as many by half."""
    ordered = np.sort(likes)
    below, upto = np.searchsorted(ordered, likes, "left"), np.searchsorted(ordered, likes, "right")
    return np.asarray((below + upto) / (2 * len(likes)), np.float64)


def _mean_of_top(value: Doubles, top: Codes) -> Doubles:
    """Returns the mean of a value of videos over each first ten; 0 for an empty ranking."""
    first = top[:, :TOP]
    is_video = first >= 0
    return np.asarray(np.where(is_video, value[first], 0.0).sum(axis=1) / np.maximum(is_video.sum(axis=1), 1))


def _gini(shown: npt.NDArray[np.int64]) -> float:
    total, videos = int(shown.sum()), len(shown)
    if not total:
        return 0.0
    place = np.arange(1, videos + 1)
    return float(2 * (place * np.sort(shown)).sum() / (videos * total) - (videos + 1) / videos)


def _overlap(shown: npt.NDArray[np.int64], users: int) -> float:
    """Counts, over all videos, the pairs of users who share it."""
    if users < 2:  # noqa: PLR2004  # one user has no pair
        return 0.0
    times = shown.astype(np.float64)
    return float((times * (times - 1)).sum() / (users * (users - 1) * TOP))
