"""What a ranking is held against: the usual ones to beat where there is but who liked what."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from runtime.models.model_bundle import Codes
from trainer.domain.dataset import Dataset
from trainer.domain.evaluation import Split, ranked
from trainer.domain.ranking import Scores, rank
from trainer.domain.ranking_metrics import RankingMetrics, Truth, measure


def item_knn(parts: Split, neighbours: int) -> RankingMetrics:
    """Ranks each video by how much it is like what the user liked, and measures that.

    Args:
        parts: What was liked before, what was seen and is not ranked, and what was liked afterwards.
        neighbours: How many of the most similar videos count for each video; 0: all.
    """
    likes = liked(parts.train)
    nothing = np.zeros(parts.train.videos, np.float32)
    return measure(ranked(parts, Scores(likes, similarities(likes, neighbours), nothing)), parts.truth).metrics


def ease(parts: Split, penalty: float) -> RankingMetrics:
    """Ranks by EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data"), and measures that.

    Args:
        parts: As for `item_knn`.
        penalty: L2 penalty of what one video says of another.
    """
    likes = liked(parts.train)
    inverse = np.linalg.inv((likes.T @ likes).toarray() + penalty * np.eye(parts.train.videos))
    weights = (-inverse / np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    nothing = np.zeros(parts.train.videos, np.float32)
    return measure(ranked(parts, Scores(likes, weights.T, nothing)), parts.truth).metrics


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


def user_knn(train: Dataset, truth: Truth, neighbours: int) -> Codes:
    """Ranks each video by the cosines of those nearest to the user who liked it, exactly.

    Args:
        train: What was liked before, and what was seen and is not ranked.
        truth: The users to rank for.
        neighbours: How many of the most similar other users count for each user.

    Returns:
        int32 item_index, one row a user, best first.
    """
    likes = liked(train)
    lengths = np.sqrt(np.maximum(np.asarray(likes.sum(axis=1)).ravel(), 1))
    rows = sp.csr_matrix(sp.diags_array(1 / lengths, dtype=np.float32) @ likes)
    nothing = np.zeros(train.videos, np.float32)
    tops = []
    for user in truth.users.tolist():
        cosines = (rows[[user]] @ rows.T).toarray()[0]
        cosines[user] = 0
        nearest = np.argsort(-cosines, kind="stable")[:neighbours]
        votes = cosines[nearest] @ likes[nearest]
        scores = Scores(np.ones((train.users, 1), np.float32), votes[:, None], nothing)
        tops.append(rank(scores, train.seen, truth.positives, np.array([user], np.int32)).top)
    return np.concatenate(tops)
