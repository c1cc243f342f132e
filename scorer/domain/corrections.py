"""What editors changed by hand: added, taken away, blocked, weighed anew; before the best are picked, so exact."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

import msgspec
import numpy as np

from runtime.models.model_bundle import UNKNOWN_CODE, Codes, Floats, ModelArrays, find_text
from scorer.domain.filters import CatalogueFilter, Mask, is_one_of


class Kind(StrEnum):
    """What a correction does to the videos that it is for."""

    BOOST = "boost"
    REDUCE = "reduce"
    BLOCK = "block"
    REWEIGHT = "reweight"


class Part(StrEnum):
    """A part of the score that can be weighed anew."""

    USER_ITEM = "user_item"
    ITEM_BIAS = "item_bias"
    PRIOR = "prior"


class Correction(msgspec.Struct, frozen=True, gc=False):
    """One change, for all videos that meet each of its conditions; an empty one is met by all.

    Args:
        kind: What it does.
        value: What it adds, takes away or multiplies by; a BLOCK has none.
        video_id: Only this video.
        author_id: Only videos by this author.
        tag: Only videos with this tag.
        language: Only videos in this language; case does not matter.
        part: What REWEIGHT multiplies.
    """

    kind: Kind
    value: float = 0.0
    video_id: str = ""
    author_id: str = ""
    tag: str = ""
    language: str = ""
    part: Part | None = None


class Corrector:
    """Finds out what corrections do to one model's videos.

    Args:
        arrays: The model's arrays.
        catalogue: Knows which video carries which tag.
    """

    def __init__(self, arrays: ModelArrays, catalogue: CatalogueFilter) -> None:
        self._arrays = arrays
        self._catalogue = catalogue

    def blocked(self, corrections: Iterable[Correction]) -> Mask | None:
        """Returns which videos are blocked, bool of shape (n_videos,); None when there is no such correction."""
        blocks = [each for each in corrections if each.kind is Kind.BLOCK]
        if not blocks:
            return None
        blocked = np.zeros(len(self._arrays.video_ids), np.bool_)
        for each in blocks:
            blocked[self._meant(each)] = True
        return blocked

    def change(self, corrections: Sequence[Correction], part: Callable[[Part], Floats]) -> Floats | None:
        """Returns what is added to the score of each video, float32, shape (n_videos,); None when nothing is.

        The order of the corrections does not matter: the factors of one part multiply, what is added sums up, and
        what is added is not multiplied.

        Args:
            corrections: What editors changed.
            part: Returns a part of the scores, float32, shape (n_videos,).
        """
        if all(each.kind is Kind.BLOCK for each in corrections):
            return None
        change = np.zeros(len(self._arrays.video_ids), np.float32)
        factors: dict[Part, Floats] = {}
        for each in corrections:
            if each.kind is Kind.REWEIGHT and each.part is not None:
                factor = factors.setdefault(each.part, np.ones_like(change))
                factor[self._meant(each)] *= np.float32(each.value)
            elif each.kind in (Kind.BOOST, Kind.REDUCE):
                sign = 1 if each.kind is Kind.BOOST else -1
                change[self._meant(each)] += np.float32(sign * each.value)
        for name, factor in factors.items():
            change += (factor - 1) * part(name)
        return change

    def _meant(self, correction: Correction) -> Mask | Codes | slice:
        """Returns the videos that a correction is for, in a form that indexes an array of all videos."""
        if correction.video_id:
            return self._single(correction)
        meant: Mask | None = None
        for mask in self._conditions(correction):
            meant = mask if meant is None else meant & mask
        return slice(None) if meant is None else meant

    def _single(self, correction: Correction) -> Codes:
        """Tests the other conditions on the one video only: most corrections are of one."""
        row = find_text(self._arrays.video_ids, correction.video_id)
        if row == UNKNOWN_CODE or not all(mask[row] for mask in self._conditions(correction)):
            return np.empty(0, np.int32)
        return np.array([row], np.int32)

    def _conditions(self, correction: Correction) -> Iterable[Mask]:
        arrays = self._arrays
        if correction.author_id:
            yield is_one_of(arrays.item_author, arrays.authors, [correction.author_id])
        if correction.language:
            yield is_one_of(arrays.item_language, arrays.languages, [correction.language.lower()])
        if correction.tag:
            yield self._catalogue.tagged([correction.tag])
