"""Implicit ALS on Spark: likes and factors pass through this machine, the work on them does not.

What a like says of its user is found as in `fit_implicit`. The penalty is weighed by how much each user or video liked
or was liked (Zhou et al. 2008), where implicit's is one for all.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from runtime.models.model_bundle import Floats
from trainer.adapters.matrices import histories
from trainer.adapters.spark import checkpoints, fetched, sent, spark_session
from trainer.domain.algorithm import Algorithm
from trainer.domain.als import confidence_of
from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel, fold_biases, nearest_map, spread_alike, unbiased
from trainer.ports import FitParams

# Spark remembers how factors came about, pass by pass, and from some fifteen on has no stack for it, unless what is
# there is written down once in a while.
_CHECKPOINT_PASSES: Final = 5


class SparkAlsFitter:
    """Fits by alternating least squares, in blocks on the machines of a cluster."""

    algorithm: Final = Algorithm.SPARK_ALS.value

    def passes(self, params: FitParams) -> int:
        """Returns how often `fit` calls `on_epoch`: once, as Spark tells of no pass before the end."""
        del params
        return 1

    def fit(self, dataset: Dataset, params: FitParams, on_epoch: Callable[[], None]) -> FactorModel:
        """Fits on a dataset; calls `on_epoch` at the end.

        Raises:
            SparkUnavailableError: When Spark cannot be opened.
        """
        users, videos = _factors(dataset, params)
        on_epoch()
        said = videos @ nearest_map(histories(dataset) @ videos, users)
        return spread_alike(fold_biases(unbiased(users), unbiased(videos), unbiased(said)))


def _factors(dataset: Dataset, params: FitParams) -> tuple[Floats, Floats]:
    """Returns the factors of users and of videos; zeros for those without a like."""
    session = spark_session()
    from pyspark.ml.recommendation import ALS  # noqa: PLC0415  # asked for only once it is known to be there

    confidence = confidence_of(dataset, params.als_confidence)
    # A block for each core: fewer leave some idle, more send the same factors to several.
    blocks = session.sparkContext.defaultParallelism
    als = ALS(
        rank=params.dimensions,
        maxIter=params.als_passes,
        regParam=params.als_penalty * confidence,
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        implicitPrefs=True,
        alpha=confidence,
        userCol="user",
        itemCol="video",
        ratingCol="weight",
        checkpointInterval=_CHECKPOINT_PASSES,
        seed=params.seed,
    )
    with checkpoints(session):
        model = als.fit(_likes(session, dataset))
        return (
            _rows(model.userFactors, dataset.users, params.dimensions),
            _rows(model.itemFactors, dataset.videos, params.dimensions),
        )


def _likes(session: Any, dataset: Dataset) -> Any:
    liked = dataset.positives
    return sent(session, pa.table({"user": liked.user, "video": liked.video, "weight": liked.weight}))


def _rows(factors: Any, count: int, dimensions: int) -> Floats:
    """Returns a DataFrame of ids and features as float32, shape (count, dimensions)."""
    table = fetched(factors)
    rows = np.zeros((count, dimensions), np.float32)
    rows[table.column("id").to_numpy()] = (
        table.column("features").combine_chunks().flatten().to_numpy().reshape(-1, dimensions)
    )
    return rows
