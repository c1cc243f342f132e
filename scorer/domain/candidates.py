"""The best of a large catalogue without a look at all of it: an index proposes, the exact scores decide."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec
import numpy as np

from runtime.models.model_bundle import BIAS_COLUMNS, Codes, Floats, ModelArrays
from scorer.domain.filters import Mask
from scorer.domain.removals import Removed, Rule
from scorer.domain.shortlist import Rows, Shortlist
from scorer.domain.topk import top_k

# Candidates beyond k: for those that may not appear, and because the index knows scores only to a few digits. When
# they are too few, once more with more; then all videos are looked at.
_ROUNDS: Final = ((2, 64), (8, 256))
# Videos that corrections raise are all scored; from here on it is quicker to score all videos.
_MOST_RAISED: Final = 10_000


class VideoIndex(Protocol):
    """Finds about the best videos for a user."""

    def nearest(self, query: Floats, count: int) -> Rows:
        """Returns about the best videos, best first, int64 item_index; fewer than asked when it finds no more.

        Args:
            query: float32, shape (d + 2,), columns (1, weight of the prior, embedding).
            count: How many.
        """


class Bounds(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What holds for one ranking.

    Args:
        user_row: float32, shape (d + 2,).
        with_prior: Whether the popularity prior counts.
        removed: Which videos must not appear, bool, shape (n_videos,).
        change: What corrections add to each video's score, float32, shape (n_videos,); None: nothing.
    """

    user_row: Floats
    with_prior: bool
    removed: Mask
    change: Floats | None


def removed_by_rule(
    removals: Iterable[tuple[Rule, Removed]], videos: int, *, counted: bool
) -> tuple[Mask, Counter[str]]:
    """Returns which of all videos must not appear, and how many each rule took out, if that is wanted.

    Args:
        removals: What each rule takes out, in the order of the rules.
        videos: How many there are.
        counted: Whether to count.
    """
    mask, counts, before = np.zeros(videos, np.bool_), Counter[str](), 0
    for rule, removed in removals:
        mask[removed] = True
        if counted:
            after = int(np.count_nonzero(mask))
            counts[rule.value] += after - before
            before = after
    return mask, counts


class Candidates:
    """Picks the best videos of a large catalogue.

    Args:
        index: Proposes.
        arrays: The model.
    """

    def __init__(self, index: VideoIndex, arrays: ModelArrays) -> None:
        self._index = index
        self._arrays = arrays

    def best(self, k: int, bounds: Bounds) -> Shortlist | None:
        """Returns the best k by exact scores; None when the index does not find enough to be sure of them.

        No other video scores more than those proposed, but for what corrections add. So k proposals that may appear
        and are not lowered, beside all that are raised, hold the best k.
        """
        raised = _NONE if bounds.change is None else np.flatnonzero(bounds.change > 0)
        if len(raised) > _MOST_RAISED:
            return None
        for times, more in _ROUNDS:
            rows = self._index.nearest(_query(bounds), times * k + more)
            rows = rows[~bounds.removed[rows]]
            if _unlowered(rows, bounds.change) >= k:
                # In the order of the rows ties are by place, as when all are looked at.
                rows = np.union1d(rows, raised)
                scores = self.scores(rows, bounds)
                best = top_k(scores, k)
                return Shortlist(rows[best], scores[best])
        return None

    def scores(self, rows: Rows | Codes, bounds: Bounds) -> Floats:
        """Returns the exact scores of some videos, float32; -inf: it must not appear."""
        arrays = self._arrays
        scores = arrays.item_factors[rows] @ bounds.user_row
        if bounds.with_prior:
            scores += arrays.item_prior[rows]
        if bounds.change is not None:
            scores += bounds.change[rows]
        scores[bounds.removed[rows]] = -np.inf
        return np.asarray(scores, np.float32)


_NONE: Final[Rows] = np.empty(0, np.int64)


def _query(bounds: Bounds) -> Floats:
    query = bounds.user_row.copy()
    query[:BIAS_COLUMNS] = (1, bounds.with_prior)
    return query


def _unlowered(rows: Rows, change: Floats | None) -> int:
    return len(rows) if change is None else int(np.count_nonzero(change[rows] >= 0))
