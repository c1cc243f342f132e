"""User-kNN by scipy's truncated SVD: who is like a user likes what the user will like.

A video's score is the sum, over everybody who liked it, of the cosine between the user's row and theirs (rows of ones
where a video was liked). With U for the rows scaled to length 1, all cosines are U @ U.T, of rank n_videos; a bundle
holds d columns. So they are taken from the d directions V in which the rows reach farthest: U @ V @ V.T @ U.T, the
nearest that d columns can come. A user's embedding is then U @ V, a video's the sum of those of its fans, and what a
like says of its user is the video's row of V, exactly as the next training would take it.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import scipy.sparse.linalg as spl
from threadpoolctl import threadpool_limits

from runtime.model_bundle import Floats
from trainer.adapters.matrices import likes
from trainer.domain.algorithm import Algorithm
from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel, fold_biases, spread_alike, unbiased
from trainer.ports import FitParams


class UserKnnFitter:
    """Takes every user as a neighbour, by the cosine of what was liked."""

    algorithm: Final = Algorithm.USER_KNN.value

    def passes(self, params: FitParams) -> int:
        """Returns how often `fit` calls `on_epoch`."""
        del params
        return 1

    def fit(self, dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> FactorModel:
        """Fits on a dataset; calls `on_epoch` at the end."""
        count = np.bincount(dataset.positives.user, minlength=dataset.users)
        rows = likes(dataset, (1 / np.sqrt(count[dataset.positives.user])).astype(np.float32))
        with threadpool_limits(params.threads, "blas"):
            directions = strongest_directions(rows, params.dimensions, params.seed)
            users = rows @ directions
            videos = likes(dataset, np.ones(len(dataset.positives), np.float32)).T @ users
            model = spread_alike(fold_biases(unbiased(users), unbiased(videos), unbiased(directions)))
        on_epoch()
        return model


def strongest_directions(rows: Any, dimensions: int, seed: int) -> Floats:
    """Returns the directions in which the rows of a sparse matrix reach farthest, float32, shape (columns, dimensions).

    Args:
        rows: CSR, shape (n, columns), with at least one number that is not 0.
        dimensions: How many; where the matrix has fewer, the others are of no weight.
        seed: Where the search begins.
    """
    # The solver finds fewer directions than there are rows and columns: zeros make up what a small log lacks.
    padded = rows.copy()
    padded.resize([max(size, dimensions + 1) for size in rows.shape])
    _, _, found = spl.svds(padded, dimensions, return_singular_vectors="vh", rng=np.random.default_rng(seed))
    return np.ascontiguousarray(found[::-1, : rows.shape[1]].T, np.float32)
