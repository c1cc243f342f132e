"""What an interaction says about liking; what it weighs is computed in `trainer/domain/preparation.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """The interaction types by the names of the contract; the numbers are only used inside."""

    VIEW = 0
    CLICK = 1
    LIKE = 2
    SHARE = 3
    COMMENT = 4
    FOLLOW = 5
    SKIP = 6
    HIDE = 7
    RATE = 8


@dataclass(frozen=True, slots=True)
class SignalRules:
    """How interactions are weighed.

    Args:
        weights: Weight by kind; negative for kinds that say no. RATE has the weight's sign from the rating.
        long_view_s: A view this long, or of the whole video, is a long view; seconds.
        half_life_days: An interaction this old weighs half.
    """

    weights: Mapping[Kind, float]
    long_view_s: float
    half_life_days: float
