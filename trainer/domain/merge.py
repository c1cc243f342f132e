"""What one day of the log means once repeats are taken out."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Exported(Protocol):
    """What merging needs to know of an interaction."""

    @property
    def event_id(self) -> str:
        """Its unique id."""

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
    def watch_time_s(self) -> float:
        """Seconds watched."""

    @property
    def feed_session_id(self) -> str | None:
        """Session it happened in."""


RowT = TypeVar("RowT", bound=Exported)


def merge_repeats(rows: Iterable[RowT]) -> list[RowT]:
    """Keeps one row an event id, and of the VIEWs of one (user, video, session) the longest.

    Clients report a view again as it goes on, so the longest watch time is the true one. Views without a session are
    views of their own. The order of the rows stays; of equally long views the first is kept.
    """
    kept: dict[object, RowT] = {}
    known: set[str] = set()
    for row in rows:
        if row.event_id in known:
            continue
        known.add(row.event_id)
        key: object = row.event_id
        if row.interaction_type == "VIEW" and row.feed_session_id:
            key = (row.user_id, row.video_id, row.feed_session_id)
            longest = kept.get(key)
            if longest is not None and longest.watch_time_s >= row.watch_time_s:
                continue
        kept[key] = row
    return list(kept.values())
