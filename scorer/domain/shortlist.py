"""The best videos on their way to a ranking: what each stage is handed and hands on."""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import UNKNOWN_CODE, Codes, Floats, ModelArrays
from scorer.domain.wish import Stages

Rows: TypeAlias = npt.NDArray[np.int64]
Lots: TypeAlias = npt.NDArray[np.float64]


class Shortlist(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Videos in the order of their values.

    Args:
        rows: int64 item_index, shape (n,).
        values: float32, shape (n,): scores, and what stages made of them.
        explored: Places, from 0, that went to new videos.
        propensities: With which probability each of these got its place.
    """

    rows: Rows
    values: Floats
    explored: tuple[int, ...] = ()
    propensities: tuple[float, ...] = ()

    def valued(self, values: Floats) -> "Shortlist":
        """Returns the videos in the order of other values, best first, ties as they are."""
        return Shortlist(self.rows, values, self.explored, self.propensities).ordered(
            np.argsort(-values, kind="stable")
        )

    def ordered(self, order: Rows) -> "Shortlist":
        """Returns the videos in another order, int64 places, each once."""
        explored = self.explored
        if explored:
            place_of = np.argsort(order)
            explored = tuple(place_of[list(explored)].tolist())
        return Shortlist(self.rows[order], self.values[order], explored, self.propensities)


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """By what videos are alike; what is unknown of a video has a negative number of its own.

    Args:
        author: int32, shape (n_videos,), code of the author.
        leading_tag: int32, shape (n_videos,), code of the first tag.
    """

    author: Codes
    leading_tag: Codes


class StageInput(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What stages may look at beside the videos themselves.

    Args:
        stages: How strong each is.
        lots: Drawn from the session's seed, above 0 and below 1, float64: one a video for the shuffle, the rest for new
            videos, so that neither changes when the other is switched off. None: without a seed.
        spread: Standard deviation of the best scores: the unit of what stages add and take away.
        likeness: By what videos are alike.
        newcomers: New videos that may appear and are not among the best, by the user's scores; None: not wanted.
    """

    stages: Stages
    lots: Lots | None
    spread: float
    likeness: Likeness
    newcomers: Shortlist | None = None


# SplitMix64 (Steele, Lea and Flood 2014): each number is mixed from its place alone, so a few hundred cost a third of
# what it takes to set up a generator of NumPy, and are the same on every machine and with every version.
_STEP: Final = 0x9E3779B97F4A7C15
_MIX: Final = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_LAST_SHIFT: Final = np.uint64(31)
_TO_53_BITS: Final = np.uint64(11)
_STEPS: Final = np.arange(1, 4096, dtype=np.uint64) * np.uint64(_STEP)


def draw(seed: int, count: int) -> Lots:
    """Draws numbers above 0 and below 1, float64.

    Args:
        seed: Of the session, uint64.
        count: How many, at most 4095.
    """
    mixed = _STEPS[:count] + np.uint64(seed)
    for shift, factor in _MIX:
        mixed ^= mixed >> shift
        mixed *= factor
    mixed ^= mixed >> _LAST_SHIFT
    return np.asarray(((mixed >> _TO_53_BITS) + 0.5) * 2.0**-53, np.float64)


def spread_of(values: Floats) -> float:
    """Returns the standard deviation of values, float32, at least one."""
    apart = values - values[-1]
    mean = float(apart.sum()) / len(apart)
    return math.sqrt(max(float(apart @ apart) / len(apart) - mean * mean, 0.0))


def likeness_of(arrays: ModelArrays) -> Likeness:
    """Reads from the catalogue by what videos are alike."""
    unknown = -1 - np.arange(len(arrays.video_ids), dtype=np.int32)
    leading = unknown.copy()
    tagged = np.diff(arrays.tag_offsets) > 0
    leading[tagged] = arrays.item_tags[arrays.tag_offsets[:-1][tagged]]
    return Likeness(np.where(arrays.item_author == UNKNOWN_CODE, unknown, arrays.item_author), leading)
