"""Implicit ALS: the one place that imports the library implicit.

A user's factors solve a least-squares problem over what the user liked, so a like does not enter them by a sum, as a
bundle wants it. `history_factors` are the linear map of the videos' factors with which the sums come nearest to the
users' own factors; what they miss stays in the user's own part. See docs/decisions/0031 for how near that is.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from runtime.models.model_bundle import Floats
from trainer.adapters.matrices import histories, likes
from trainer.domain.algorithm import Algorithm
from trainer.domain.als import confidence_of
from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel, fold_biases, nearest_map, spread_alike, unbiased
from trainer.domain.warm_start import Start
from trainer.passes import to_the_end
from trainer.ports import FitParams


class AlsFitter:
    """Fits by alternating least squares (Hu, Koren and Volinsky 2008)."""

    algorithm: Final = Algorithm.ALS.value
    passes_param: ClassVar[str] = "als_passes"

    def passes(self, params: FitParams) -> int:
        """Returns how often `fit` calls `on_epoch`."""
        return params.als_passes

    def fit(self, dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> FactorModel:
        """Fits on a dataset; calls `on_epoch` after each pass."""
        return _factor_model(fit_als(dataset, params, on_epoch), dataset)

    def steps(self, dataset: Dataset, params: FitParams, start: Start | None) -> Iterator[Callable[[], FactorModel]]:
        """Fits on a dataset; yields after each pass what returns the model as it is until the next one."""
        for model in fitted_by_pass(dataset, params, start):
            yield partial(_factor_model, model, dataset)


def _factor_model(model: Any, dataset: Dataset) -> FactorModel:
    users, videos = np.asarray(model.user_factors), np.asarray(model.item_factors)
    with threadpool_limits(1, "blas"):
        said = videos @ nearest_map(histories(dataset) @ videos, users)
        return spread_alike(fold_biases(unbiased(users), unbiased(videos), unbiased(said)))


def fit_als(dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> Any:
    """Fits and returns implicit's own model.

    Args:
        dataset: What is learned.
        params: How.
        on_epoch: Called after each pass.
    """
    return to_the_end(fitted_by_pass(dataset, params, None), on_epoch)


def fitted_by_pass(dataset: Dataset, params: FitParams, start: Start | None) -> Iterator[Any]:
    """Yields implicit's own model after each pass: the same one, fitted further.

    Args:
        dataset: What is learned.
        params: How.
        start: What the videos begin with, by which the users are found at once; None: chance.
    """
    confidence, penalty = _weights(dataset, params)
    # implicit's own threads are all that it can use: with BLAS' beside them it is slower, and warns.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=params.dimensions,
            regularization=penalty,
            iterations=1,
            num_threads=params.threads,
            random_state=params.seed,
        )
    if start is not None:
        model.item_factors = _beginning(dataset.videos, params, start)
    liked = likes(dataset, 1 + confidence * dataset.positives.weight)
    for _ in range(params.als_passes):
        with threadpool_limits(1, "blas"):
            model.fit(liked, show_progress=False)
        yield model


def _beginning(videos: int, params: FitParams, start: Start) -> Floats:
    """Returns the videos' factors before the first pass; those that are not known are as small as implicit's own."""
    chance = np.random.default_rng(params.seed).random((videos, params.dimensions), np.float32)
    factors = chance * np.float32(0.01)
    factors[start.videos.rows] = start.videos.learned.embedding
    return factors


def _weights(dataset: Dataset, params: FitParams) -> tuple[float, float]:
    """Returns what a like weighs beside anything else, and the penalty, which follows from how many there are too."""
    confidence = confidence_of(dataset, params.als_confidence)
    users, videos = len(np.unique(dataset.positives.user)), len(np.unique(dataset.positives.video))
    return confidence, params.als_penalty * confidence * 2 * len(dataset.positives) / (users + videos)
