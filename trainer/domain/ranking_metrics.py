"""How good rankings are: vectorised, binary gains."""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from runtime.model_bundle import Codes, Floats
from trainer.domain.dataset import Lists

TOP: Final = 10
DEEP: Final = 50

_DISCOUNT: Final = 1.0 / np.log2(np.arange(2, TOP + 2))
_BEST_DCG: Final = np.cumsum(_DISCOUNT)

# Scores in memory at a time: 16 MB.
_BLOCK_SCORES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class RankingMetrics:
    """Means over the users with at least one positive.

    Args:
        ndcg_at_10: DCG of the first ten over the best possible for min(10, positives).
        recall_at_50: Positives found in the first fifty over positives.
        precision_at_10: Positives among the first ten, over ten.
        hit_rate_at_10: Share of users with a positive among the first ten.
        coverage_at_10: Share of all videos that are in somebody's first ten.
        overlap_at_10: Share of the first ten that two users have in common, mean over pairs.
        users: How many users were measured.
    """

    ndcg_at_10: float
    recall_at_50: float
    precision_at_10: float
    hit_rate_at_10: float
    coverage_at_10: float
    overlap_at_10: float
    users: int

    def named(self, prefix: str = "") -> dict[str, float]:
        """Returns the metrics by name."""
        return {prefix + name: float(value) for name, value in asdict(self).items()}


def rank_metrics(
    user_factors: Floats, item_factors: Floats, prior: Floats, masked: Lists, positives: Lists, users: Codes
) -> RankingMetrics:
    """Ranks every video for the users and measures the rankings.

    Args:
        user_factors: float32, shape (n_users, columns).
        item_factors: float32, shape (n_videos, columns).
        prior: float32, shape (n_videos,), added to every score.
        masked: Videos that are not ranked for a user.
        positives: Videos that count as found; every user of `users` has at least one.
        users: user_index of the users to measure.
    """
    top = rankings(user_factors, item_factors, prior, masked, users)
    return measure(top, positives, users, len(item_factors))


def rankings(user_factors: Floats, item_factors: Floats, prior: Floats, masked: Lists, users: Codes) -> Codes:
    """Ranks every video for the users, int32 item_index, shape (len(users), up to DEEP), best first, -1 at the end.

    Args:
        user_factors: As in `rank_metrics`, like the others.
        item_factors: The same.
        prior: The same.
        masked: The same.
        users: The same.
    """
    block = max(1, _BLOCK_SCORES // len(item_factors))
    tops = [
        _top_of(user_factors[chunk] @ item_factors.T + prior, masked, chunk)
        for chunk in np.array_split(users, max(1, -(-len(users) // block)))
    ]
    return np.concatenate(tops)


def measure(top: Codes, positives: Lists, users: Codes, videos: int) -> RankingMetrics:
    """Measures rankings.

    Args:
        top: int32 item_index, shape (len(users), up to DEEP), best first, -1 where the list ends.
        positives: As in `rank_metrics`.
        users: user_index of each row.
        videos: How many videos there are.
    """
    count = positives.lengths()[users]
    hits = _hits(top, positives, users, videos)
    first = hits[:, :TOP]
    dcg = first @ _DISCOUNT[: first.shape[1]]
    return RankingMetrics(
        ndcg_at_10=float((dcg / _BEST_DCG[np.minimum(count, TOP) - 1]).mean()),
        recall_at_50=float((hits.sum(axis=1) / count).mean()),
        precision_at_10=float(first.sum(axis=1).mean() / TOP),
        hit_rate_at_10=float(first.any(axis=1).mean()),
        coverage_at_10=_coverage(top[:, :TOP], videos),
        overlap_at_10=_overlap(top[:, :TOP], videos),
        users=len(users),
    )


def _top_of(scores: Floats, masked: Lists, users: Codes) -> Codes:
    lengths = masked.lengths()[users]
    rows = np.repeat(np.arange(len(users)), lengths)
    starts = np.repeat(masked.offsets[users] - np.cumsum(lengths) + lengths, lengths)
    scores[rows, masked.videos[starts + np.arange(len(rows))]] = -np.inf
    deep = min(DEEP, scores.shape[1])
    part = np.argpartition(-scores, deep - 1, axis=1)[:, :deep]
    part_scores = np.take_along_axis(scores, part, axis=1)
    order = np.argsort(-part_scores, axis=1, kind="stable")
    top = np.take_along_axis(part, order, axis=1)
    top[np.take_along_axis(part_scores, order, axis=1) == -np.inf] = -1
    return top.astype(np.int32)


def _hits(top: Codes, positives: Lists, users: Codes, videos: int) -> npt.NDArray[np.bool_]:
    """Tells which ranked videos are positives of their user."""
    owner = np.repeat(np.arange(len(positives.offsets) - 1, dtype=np.int64), positives.lengths())
    liked = owner * videos + positives.videos
    ranked = users[:, None].astype(np.int64) * videos + top
    return np.isin(ranked, liked) & (top >= 0)


def _coverage(top: Codes, videos: int) -> float:
    return len(np.unique(top[top >= 0])) / videos


def _overlap(top: Codes, videos: int) -> float:
    """Counts, over all videos, the pairs of users who share it."""
    users = len(top)
    if users < 2:  # noqa: PLR2004  # one user has no pair
        return 0.0
    shared = np.bincount(top[top >= 0], minlength=videos).astype(np.float64)
    return float((shared * (shared - 1)).sum() / (users * (users - 1) * TOP))
