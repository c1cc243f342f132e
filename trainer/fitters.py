"""From an algorithm's name to what fits it; a library is imported only for the algorithm that needs it."""

from collections.abc import Mapping

from trainer.adapters.fit_combination import CombinationFitter, Weighed
from trainer.adapters.fit_popularity import PopularityFitter
from trainer.domain.algorithm import Algorithm
from trainer.ports import Fitter


def fitter_of(algorithm: Algorithm, combined: Mapping[Algorithm, float]) -> Fitter:
    """Returns the fitter of an algorithm.

    Args:
        algorithm: Which.
        combined: What a combination adds up, and with which weights.
    """
    if algorithm is Algorithm.COMBINATION:
        return CombinationFitter([Weighed(fitter_of(each, {}), weight) for each, weight in combined.items()])
    if algorithm is Algorithm.POPULARITY:
        return PopularityFitter()
    if algorithm is Algorithm.USER_KNN:
        from trainer.adapters.fit_scipy import UserKnnFitter  # noqa: PLC0415

        return UserKnnFitter()
    if algorithm is Algorithm.ALS:
        from trainer.adapters.fit_implicit import AlsFitter  # noqa: PLC0415

        return AlsFitter()
    if algorithm is Algorithm.SPARK_ALS:
        from trainer.adapters.fit_spark import SparkAlsFitter  # noqa: PLC0415

        return SparkAlsFitter()
    from trainer.adapters.fit_lightfm import LightFMFitter  # noqa: PLC0415

    return LightFMFitter(algorithm)
