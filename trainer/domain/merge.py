"""What one day of the log means once repeats are taken out."""

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar


class Exported(Protocol):
    """What merging needs to know of an interaction."""

    @property
    def user_id(self) -> str:
        """Who."""

    @property
    def video_id(self) -> str:
        """Which video."""

    @property
    def interaction_type(self) -> str:
        """Name of its type."""

    @property
    def feed_session_id(self) -> str | None:
        """Session it happened in."""


RowT = TypeVar("RowT", bound=Exported)


class Merged(Generic[RowT]):
    """The rows of a day with one for each view, to be gone through once; holds one row at a time.

    Clients report a view again as it goes on, so of the VIEWs of one (user, video, session) the longest is the true
    one. Views without a session are views of their own.

    Args:
        rows: What was told of one view stands side by side, the longest first. Event ids are distinct.
    """

    def __init__(self, rows: Iterable[RowT]) -> None:
        self._rows = rows
        self.repeats = 0

    def __iter__(self) -> Iterator[RowT]:
        """Yields what is left, and counts what is not in `repeats`."""
        last: object = None
        for row in self._rows:
            view = (row.user_id, row.video_id, row.feed_session_id) if _is_told_view(row) else None
            if view is not None and view == last:
                self.repeats += 1
                continue
            last = view
            yield row


def _is_told_view(row: Exported) -> bool:
    return row.interaction_type == "VIEW" and bool(row.feed_session_id)
