"""Implicit ALS: the one place that imports the library implicit.

A user's factors solve a least-squares problem over what the user liked, so a like does not enter them by a sum, as a
bundle wants it. `history_factors` are the linear map of the videos' factors with which the sums come nearest to the
users' own factors; what they miss stays in the user's own part. See docs/decisions/0031 for how near that is.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from trainer.adapters.matrices import histories, likes
from trainer.domain.algorithm import Algorithm
from trainer.domain.als import confidence_of
from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel, fold_biases, nearest_map, spread_alike, unbiased
from trainer.ports import FitParams


class AlsFitter:
    """Fits by alternating least squares (Hu, Koren and Volinsky 2008)."""

    algorithm: Final = Algorithm.ALS.value

    def passes(self, params: FitParams) -> int:
        """Returns how often `fit` calls `on_epoch`."""
        return params.als_passes

    def fit(self, dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> FactorModel:
        """Fits on a dataset; calls `on_epoch` after each pass."""
        # implicit's own threads are all that it can use: with BLAS' beside them it is slower, and warns.
        with threadpool_limits(1, "blas"):
            model = fit_als(dataset, params, on_epoch)
            users, videos = np.asarray(model.user_factors), np.asarray(model.item_factors)
            said = videos @ nearest_map(histories(dataset) @ videos, users)
            return spread_alike(fold_biases(unbiased(users), unbiased(videos), unbiased(said)))


def fit_als(dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> Any:
    """Fits and returns implicit's own model.

    Args:
        dataset: What is learned.
        params: How.
        on_epoch: Called after each pass.
    """
    confidence, penalty = _weights(dataset, params)
    model = AlternatingLeastSquares(
        factors=params.dimensions,
        regularization=penalty,
        iterations=params.als_passes,
        num_threads=params.threads,
        random_state=params.seed,
    )
    model.fit(
        likes(dataset, 1 + confidence * dataset.positives.weight), show_progress=False, callback=lambda *_: on_epoch()
    )
    return model


def _weights(dataset: Dataset, params: FitParams) -> tuple[float, float]:
    """Returns what a like weighs beside anything else, and the penalty, which follows from how many there are too."""
    confidence = confidence_of(dataset, params.als_confidence)
    users, videos = len(np.unique(dataset.positives.user)), len(np.unique(dataset.positives.video))
    return confidence, params.als_penalty * confidence * 2 * len(dataset.positives) / (users + videos)
