"""Intervals as lines beside a table: all of a table on one scale, with nothing in its middle; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from insights.domain.statistics import Difference

# Of the drawing, in its own units; its middle is a difference of 0.
WIDTH: Final = 200
_MIDDLE: Final = WIDTH / 2
# What an end needs beside it, to be seen whole.
_EDGE: Final = 6


@dataclass(frozen=True, slots=True)
class Whisker:
    """Where an interval is drawn, 0 to WIDTH from the left."""

    low: float
    value: float
    high: float


def whiskers(found: Sequence[Difference]) -> list[Whisker]:
    """Returns where intervals are drawn, the widest of them up to an edge."""
    most = max((max(abs(each.low), abs(each.high)) for each in found), default=0.0)
    scale = (_MIDDLE - _EDGE) / most if most else 0.0
    return [
        Whisker(*(round(_MIDDLE + scale * value, 1) for value in (each.low, each.value, each.high))) for each in found
    ]
