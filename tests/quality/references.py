"""What a ranking is held against: item-kNN, the usual one to beat where there is nothing but who liked what."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from trainer.domain.dataset import Dataset
from trainer.domain.evaluation import Split, ranked
from trainer.domain.ranking import Scores
from trainer.domain.ranking_metrics import RankingMetrics, measure


def item_knn(parts: Split, neighbours: int) -> RankingMetrics:
    """Ranks each video by how much it is like what the user liked, and measures that.

    Args:
        parts: What was liked before, what was seen and is not ranked, and what was liked afterwards.
        neighbours: How many of the most similar videos count for each video; 0: all.
    """
    likes = liked(parts.train)
    nothing = np.zeros(parts.train.videos, np.float32)
    return measure(ranked(parts, Scores(likes, similarities(likes, neighbours), nothing)), parts.truth).metrics


def liked(train: Dataset) -> Any:
    """Returns who liked what, a CSR matrix of ones, float32, shape (n_users, n_videos)."""
    place = (train.positives.user, train.positives.video)
    return sp.csr_matrix((np.ones(len(train.positives), np.float32), place), (train.users, train.videos))


def similarities(likes: Any, neighbours: int) -> Any:
    """Returns the cosine of each two videos by who liked them, float32, shape (n_videos, n_videos); 0 to itself.

    Args:
        likes: As `liked` returns it.
        neighbours: How many of the highest are kept of a row; 0: all.
    """
    counts = np.asarray(likes.sum(axis=0)).ravel()
    unit = likes @ sp.diags_array(1 / np.sqrt(np.maximum(counts, 1)), dtype=np.float32)
    cosine = np.asarray((unit.T @ unit).todense(), np.float32)
    np.fill_diagonal(cosine, 0)
    if 0 < neighbours < len(cosine):
        bound = np.partition(cosine, -neighbours, axis=1)[:, -neighbours]
        cosine[cosine < bound[:, None]] = 0
    return cosine
