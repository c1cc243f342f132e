"""The algorithms by their names, as settings choose them and as manifests, pages and events tell them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

_MOST_WEIGHT: Final = 100.0


class Algorithm(StrEnum):
    """How a model is fitted."""

    LIGHTFM_WARP = "lightfm-warp"
    LIGHTFM_BPR = "lightfm-bpr"
    LIGHTFM_LOGISTIC = "lightfm-logistic"
    ALS = "als"
    SPARK_ALS = "spark-als"
    USER_KNN = "user-knn"
    POPULARITY = "popularity"
    COMBINATION = "combination"


# Those that a combination can add up; popularity is added to every score as it is.
COMBINABLE: Final = tuple(each for each in Algorithm if each not in (Algorithm.POPULARITY, Algorithm.COMBINATION))


def parse_combined(text: str) -> Mapping[Algorithm, float]:
    """Reads what a combination adds up, such as "lightfm-warp:1,als:0.5".

    Raises:
        ValueError: When a part is not of COMBINABLE or named twice, or its weight is not above 0 and at most 100.
    """
    weights: dict[Algorithm, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition(":")
        if name not in COMBINABLE or name in weights:
            raise ValueError(f"{name!r} is not one of {', '.join(COMBINABLE)}, or is named twice")
        weight = float(number or "nan")
        if not 0 < weight <= _MOST_WEIGHT:
            raise ValueError(f"the weight of {name} is {number or 'missing'}, not above 0 and at most {_MOST_WEIGHT}")
        weights[Algorithm(name)] = weight
    return weights


def runs_on_spark(algorithm: Algorithm, combined: Mapping[Algorithm, float]) -> bool:
    """Tells whether an algorithm, or a part of what a combination adds up, is fitted on Spark."""
    return Algorithm.SPARK_ALS in (combined if algorithm is Algorithm.COMBINATION else {algorithm})
