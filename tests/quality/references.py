"""What a ranking is held against: neighbours by cosine, the usual ones to beat where there is but who liked what."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from runtime.model_bundle import Codes
from trainer.domain.dataset import Dataset, Lists
from trainer.domain.ranking_metrics import RankingMetrics, rank_metrics, rankings


def item_knn(train: Dataset, positives: Lists, users: Codes, neighbours: int) -> RankingMetrics:
    """Ranks each video by how much it is like what the user liked, and measures that.

    Args:
        train: What was liked before, and what was seen and is not ranked.
        positives: What was liked afterwards.
        users: user_index of the users to measure.
        neighbours: How many of the most similar videos count for each video; 0: all.
    """
    likes = liked(train)
    nothing = np.zeros(train.videos, np.float32)
    return rank_metrics(likes, similarities(likes, neighbours), nothing, train.seen, positives, users)


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


def user_knn(train: Dataset, users: Codes, neighbours: int) -> Codes:
    """Ranks each video by the cosines of those nearest to the user who liked it, exactly.

    Args:
        train: What was liked before, and what was seen and is not ranked.
        users: user_index of the users to rank for.
        neighbours: How many of the most similar other users count for each user.

    Returns:
        int32 item_index, shape (len(users), DEEP), best first.
    """
    likes = liked(train)
    lengths = np.sqrt(np.maximum(np.asarray(likes.sum(axis=1)).ravel(), 1))
    rows = sp.csr_matrix(sp.diags_array(1 / lengths, dtype=np.float32) @ likes)
    nothing = np.zeros(train.videos, np.float32)
    tops = []
    for user in users.tolist():
        cosines = (rows[[user]] @ rows.T).toarray()[0]
        cosines[user] = 0
        nearest = np.argsort(-cosines, kind="stable")[:neighbours]
        votes = cosines[nearest] @ likes[nearest]
        tops.append(
            rankings(np.ones((train.users, 1), np.float32), votes[:, None], nothing, train.seen, np.array([user]))
        )
    return np.concatenate(tops)
