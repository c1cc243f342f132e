"""From a video's id to its row and back, in little memory."""

from collections.abc import Sequence
from itertools import repeat
from typing import Final

import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import UNKNOWN_CODE, Codes, Texts, find_text

# A dict of a million ids takes over 100 MB, hashes and rows take 12 and are quicker, for a dict of that size no longer
# fits the caches: 10,000 look-ups take 2.6 instead of 9 ms. In a small one they take 0.8. And to free one after a swap
# holds up all calls, for 9 ms with 200,000 ids and for 1 ms with 20,000.
_DICT_UP_TO: Final = 20_000


class VideoRows:
    """Knows the row of each video of one model.

    Args:
        table: The ids, sorted, row = item_index.
        dict_up_to: So many videos and fewer are kept in a dict.
    """

    def __init__(self, table: Texts, dict_up_to: int = _DICT_UP_TO) -> None:
        self._table = table
        self._row_of: dict[str, int] | None = None
        if len(table) <= dict_up_to:
            self._row_of = {video_id.decode(): row for row, video_id in enumerate(table.tolist())}
            return
        hashes = np.fromiter((hash(video_id.decode()) for video_id in table), np.int64, len(table))
        self._rows = np.argsort(hashes).astype(np.int32)
        self._hashes = hashes[self._rows]

    def row(self, video_id: str) -> int:
        """Returns the row of a video, or UNKNOWN_CODE."""
        return find_text(self._table, video_id)

    def rows(self, video_ids: Sequence[str]) -> Codes:
        """Returns the rows of those videos that are known, in any order.

        Above `dict_up_to` videos another one is taken for an unknown one once in 10^13 look-ups: ids are compared by
        their 64-bit hashes, which are keyed, so that nobody can make two alike.
        """
        if self._row_of is not None:
            known = self._row_of
            rows = np.fromiter(map(known.get, video_ids, repeat(UNKNOWN_CODE)), np.int32, len(video_ids))
            return np.asarray(rows[rows != UNKNOWN_CODE], np.int32)
        # Sorted, the searches follow each other through the memory.
        sought = np.sort(np.fromiter(map(hash, video_ids), np.int64, len(video_ids)))
        places = np.searchsorted(self._hashes, sought)
        places[places == len(self._hashes)] = 0
        return np.asarray(self._rows[places[self._hashes[places] == sought]], np.int32)

    def ids(self, rows: npt.NDArray[np.int64] | Codes) -> list[str]:
        """Returns the ids of some rows."""
        # One text for all is decoded in a third of the time; no id holds a line feed.
        return b"\n".join(self._table[rows].tolist()).decode().split("\n") if len(rows) else []
