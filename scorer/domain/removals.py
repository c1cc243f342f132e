"""Which videos must not appear for a user, and by which rule."""

from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from runtime.models.model_bundle import UNKNOWN_CODE, Codes, ModelArrays
from scorer.domain.corrections import Corrector
from scorer.domain.filters import CatalogueFilter, Mask
from scorer.domain.video_rows import VideoRows
from scorer.domain.wish import Wish


class Rule(StrEnum):
    """Why a video does not appear."""

    INACTIVE = "inactive"
    SEEN = "seen"
    EXCLUDED = "excluded"
    FILTERED = "filtered"
    BLOCKED = "blocked"


# Rows of videos, in any order and perhaps twice, or which of all videos.
Removed: TypeAlias = Codes | Mask


class Removals:
    """Finds what must not appear, with one model's catalogue.

    Args:
        arrays: The model's arrays.
        rows: Knows the row of each video.
        catalogue: Holds filters against the catalogue.
        corrector: Knows what corrections block.
    """

    def __init__(self, arrays: ModelArrays, rows: VideoRows, catalogue: CatalogueFilter, corrector: Corrector) -> None:
        self._arrays = arrays
        self._rows = rows
        self._catalogue = catalogue
        self._corrector = corrector
        self._inactive = np.flatnonzero(~arrays.item_active).astype(np.int32)

    def of(self, user_index: int, wish: Wish) -> Iterator[tuple[Rule, Removed]]:
        """Returns what each rule takes out, in the order of the rules; one that takes nothing out is left out.

        Args:
            user_index: The user's row, or UNKNOWN_CODE.
            wish: What is asked.
        """
        if len(self._inactive):
            yield Rule.INACTIVE, self._inactive
        if user_index != UNKNOWN_CODE and not wish.stages.skip_seen:
            yield Rule.SEEN, self._arrays.seen_of(user_index)
        if wish.exclude_video_ids:
            yield Rule.EXCLUDED, self._rows.rows(wish.exclude_video_ids)
        if wish.excluded_text:
            yield Rule.EXCLUDED, self._rows.rows(wish.excluded_text.split("\n"))
        refused = self._catalogue.refused(wish.filters)
        if refused is not None:
            yield Rule.FILTERED, refused
        blocked = self._corrector.blocked(wish.corrections) if wish.corrections else None
        if blocked is not None:
            yield Rule.BLOCKED, blocked
