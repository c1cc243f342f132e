"""Which rows of a table that grows are new, though their numbers may appear out of order."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

# More are not asked for by their numbers: a writer took thousands of them and has not ended yet.
_MOST_MISSING: Final = 1_000


class Overlap:
    """Says where to look for new rows: above the newest, and for the numbers below it that were skipped.

    Two writers' rows need not appear in the order of their numbers.

    Args:
        newest: The row from which on it looks.
        overlap_s: How long a number that was skipped may still appear, in seconds.
    """

    def __init__(self, newest: int, overlap_s: float) -> None:
        self._overlap_s = overlap_s
        self._floor = self._newest = newest
        self._gaps: list[range] = []
        self._late: set[int] = set()
        self._marks: deque[tuple[float, int]] = deque()

    @property
    def newest(self) -> int:
        """The newest row that was seen."""
        return self._newest

    @property
    def floor(self) -> int:
        """The row below which none appears any more."""
        return self._floor

    def missing(self) -> Sequence[int] | None:
        """Returns the numbers that may still appear; None: so many that all rows above the floor are to be read."""
        if sum(map(len, self._gaps)) - len(self._late) > _MOST_MISSING:
            return None
        return [row for row in chain.from_iterable(self._gaps) if row not in self._late]

    def is_new(self, row: int) -> bool:
        """Says whether a row is seen for the first time, and remembers it."""
        if row > self._newest:
            if row > self._newest + 1:
                self._gaps.append(range(self._newest + 1, row))
            self._newest = row
            return True
        place = bisect_right(self._gaps, row, key=attrgetter("start")) - 1
        if place < 0 or row not in self._gaps[place] or row in self._late:
            return False
        self._late.add(row)
        return True

    def looked(self, now: float) -> None:
        """Ends a look: numbers below what was newest an overlap ago do not appear any more."""
        self._marks.append((now, self._newest))
        while self._marks and now - self._marks[0][0] >= self._overlap_s:
            self._floor = self._marks.popleft()[1]
        # None lies on both sides of the floor: that was the newest row once.
        self._gaps = [gap for gap in self._gaps if gap.start > self._floor]
        self._late = {row for row in self._late if row > self._floor}
