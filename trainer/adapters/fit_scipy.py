"""User-kNN by scipy's sparse matrices: who is like a user likes what the user will like.

A video's score is the sum of the cosines of those of the user's nearest neighbours who liked it; rows are ones where a
video was liked. Who the neighbours of everybody are is n_users numbers a user, and a bundle holds d: it gets the d
directions V in which all users' scores reach farthest (their truncated SVD, the nearest that d columns can come). What
a like says of its user is found as for ALS. Cosines are taken of every two users, so that the time of a fit grows with
the square of their number. How near it all comes stands in docs/decisions/0031.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from threadpoolctl import threadpool_limits

from runtime.models.model_bundle import Floats
from trainer.adapters.matrices import histories, likes
from trainer.domain.algorithm import Algorithm
from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel, fold_biases, nearest_map, spread_alike, unbiased
from trainer.ports import FitParams

# Cosines in memory at a time: 64 MB.
_BLOCK_COSINES: Final = 1 << 24


class UserKnnFitter:
    """Adds up the cosines of a user's nearest neighbours."""

    algorithm: Final = Algorithm.USER_KNN.value

    def passes(self, params: FitParams) -> int:
        """Returns how often `fit` calls `on_epoch`."""
        del params
        return 1

    def fit(self, dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> FactorModel:
        """Fits on a dataset; calls `on_epoch` at the end."""
        liked = likes(dataset, np.ones(len(dataset.positives), np.float32))
        with threadpool_limits(params.threads, "blas"):
            near = neighbours(dataset, params.knn_neighbours)
            videos = strongest_directions(near, liked, params.dimensions, params.seed)
            users = near @ (liked @ videos)
            said = videos @ nearest_map(histories(dataset) @ videos, users)
            model = spread_alike(fold_biases(unbiased(users), unbiased(videos), unbiased(said)))
        on_epoch()
        return model


def neighbours(dataset: Dataset, count: int) -> Any:
    """Returns the cosines of each user's nearest others, a CSR matrix, float32, shape (n_users, n_users).

    Args:
        dataset: Who liked what.
        count: How many others count for each user.
    """
    liked = np.bincount(dataset.positives.user, minlength=dataset.users)
    rows = likes(dataset, (1 / np.sqrt(liked[dataset.positives.user])).astype(np.float32))
    columns, size = rows.T.tocsr(), max(1, _BLOCK_COSINES // dataset.users)
    found = [
        _nearest(rows[start : start + size] @ columns, start, min(count, dataset.users))
        for start in range(0, dataset.users, size)
    ]
    return sp.csr_matrix(sp.vstack(found))


def _nearest(cosines: Any, first_user: int, count: int) -> Any:
    """Keeps the highest of each row but the users' own; the first row is that of `first_user`."""
    dense = cosines.toarray()
    place = np.arange(len(dense))
    dense[place, first_user + place] = 0
    best = np.argpartition(dense, -count, axis=1)[:, -count:]
    kept = sp.csr_matrix(
        (np.take_along_axis(dense, best, axis=1).ravel(), best.ravel(), np.arange(0, best.size + 1, count)),
        dense.shape,
    )
    kept.eliminate_zeros()
    return kept


def strongest_directions(near: Any, liked: Any, dimensions: int, seed: int) -> Floats:
    """Returns the directions in which the scores `near @ liked` reach farthest, float32, shape (n_videos, dimensions).

    Args:
        near: What `neighbours` returns.
        liked: Who liked what, CSR, shape (n_users, n_videos).
        dimensions: How many; where the scores have fewer, the others are of no weight.
        seed: Where the search begins.
    """
    # The solver finds fewer directions than there are users and videos: zeros make up what a small log lacks.
    users, videos = (max(size, dimensions + 1) for size in liked.shape)
    scores = spl.aslinearoperator(_padded(near, users, users)) @ spl.aslinearoperator(_padded(liked, users, videos))
    _, _, found = spl.svds(scores, dimensions, return_singular_vectors="vh", rng=np.random.default_rng(seed))
    return np.ascontiguousarray(found[::-1, : liked.shape[1]].T, np.float32)


def _padded(matrix: Any, rows: int, columns: int) -> Any:
    larger = matrix.copy()
    larger.resize(rows, columns)
    return larger
