"""Which videos may appear: the conditions of a request against the catalogue, exact."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runtime.model_bundle import UNKNOWN_CODE, Codes, ModelArrays, Texts, find_texts

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions that hold together; an empty one does not limit.

    Args:
        include_tags: A video must carry one of these.
        exclude_tags: It must carry none of these.
        exclude_author_ids: It must be by none of these.
        languages: Its language must be one of these; case does not matter.
        max_duration_s: Longest duration, seconds; 0: any. A video of unknown duration does not pass a bound.
        published_after_ms: Earliest publication, epoch milliseconds; None: any. Unknown does not pass a bound.
    """

    include_tags: Sequence[str] = ()
    exclude_tags: Sequence[str] = ()
    exclude_author_ids: Sequence[str] = ()
    languages: Sequence[str] = ()
    max_duration_s: float = 0.0
    published_after_ms: int | None = None


NO_FILTERS = Filters()


class CatalogueFilter:
    """Holds filters against one model's catalogue.

    Args:
        arrays: The model's arrays.
    """

    def __init__(self, arrays: ModelArrays) -> None:
        self._arrays = arrays
        self._tag_owner = np.repeat(np.arange(len(arrays.video_ids), dtype=np.int32), np.diff(arrays.tag_offsets))

    def refused(self, filters: Filters) -> Mask | None:
        """Returns which videos must not appear, bool of shape (n_videos,); None when there is no condition."""
        if filters == NO_FILTERS:
            return None
        arrays = self._arrays
        refused = np.zeros(len(arrays.video_ids), np.bool_)
        if filters.include_tags:
            refused |= ~self._tagged(filters.include_tags)
        if filters.exclude_tags:
            refused |= self._tagged(filters.exclude_tags)
        if filters.exclude_author_ids:
            refused |= _is_one_of(arrays.item_author, arrays.authors, filters.exclude_author_ids)
        if filters.languages:
            wanted = [language.lower() for language in filters.languages]
            refused |= ~_is_one_of(arrays.item_language, arrays.languages, wanted)
        if filters.max_duration_s > 0:
            duration = arrays.item_duration_s
            refused |= (duration < 0) | (duration > filters.max_duration_s)
        if filters.published_after_ms is not None:
            published = arrays.item_published_ms
            refused |= (published < 0) | (published < filters.published_after_ms)
        return refused

    def _tagged(self, tags: Sequence[str]) -> Mask:
        carried = _is_one_of(self._arrays.item_tags, self._arrays.tags, tags)
        tagged = np.zeros(len(self._arrays.video_ids), np.bool_)
        tagged[self._tag_owner[carried]] = True
        return tagged


def _is_one_of(codes: Codes, table: Texts, wanted: Sequence[str]) -> Mask:
    """Tells which codes stand for one of the wanted texts; an unknown code for none."""
    rows = find_texts(table, wanted)
    flags = np.zeros(len(table) + 1, np.bool_)
    flags[rows[rows != UNKNOWN_CODE]] = True
    # An unknown code, -1, reads the last flag, which is never set.
    return flags[codes]
