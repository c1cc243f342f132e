"""Where to look for rows whose numbers may appear out of order."""

from collections import deque


class Overlap:
    """Says from where to look for rows whose numbers may appear out of order, and which of them are known.

    Args:
        newest: The row from which on it looks.
        overlap_s: How long a number that was skipped may still appear, in seconds.
    """

    def __init__(self, newest: int, overlap_s: float) -> None:
        self._overlap_s = overlap_s
        self._floor = self._newest = newest
        self._seen: set[int] = set()
        self._marks: deque[tuple[float, int]] = deque()

    @property
    def floor(self) -> int:
        """The row after which to look."""
        return self._floor

    def is_new(self, row: int) -> bool:
        """Says whether a row is seen for the first time, and remembers it."""
        if row in self._seen:
            return False
        self._seen.add(row)
        self._newest = max(self._newest, row)
        return True

    def looked(self, now: float) -> None:
        """Ends a look: numbers below what was newest an overlap ago do not appear any more."""
        self._marks.append((now, self._newest))
        while now - self._marks[0][0] >= self._overlap_s:
            self._floor = self._marks.popleft()[1]
            if not self._marks:
                break
        self._seen = {row for row in self._seen if row > self._floor}
