"""What an interaction makes its video trend by, where a view that is told again counts once.

A client tells a view again as it goes on. Of the views of one user, video and session only the longest counts: each
one adds what it is longer than those before.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from interactions.domain.event import InteractionType
from interactions.domain.weights import trending_weight


class View(NamedTuple):
    """A user watching a video in a session; told once or many times."""

    user_id: str
    video_id: str
    feed_session_id: str


class Watched:
    """How long each view has lasted, as far as it was told.

    Args:
        longest_s: What was told before, in seconds.
    """

    def __init__(self, longest_s: Mapping[View, float] | None = None) -> None:
        self._longest_s = dict(longest_s or {})

    def tell(self, view: View, watch_time_s: float) -> float:
        """Notes what was told, and returns the longest that was told before, in seconds; 0 when nothing was."""
        before_s = self._longest_s.get(view, 0.0)
        self._longest_s[view] = max(before_s, watch_time_s)
        return before_s


def view_of(kind: InteractionType, user_id: str, video_id: str, feed_session_id: str | None) -> View | None:
    """Returns the view that an interaction tells of; None when it is none, or stands alone for want of a session."""
    if kind is not InteractionType.VIEW or not feed_session_id:
        return None
    return View(user_id, video_id, feed_session_id)


def added_weight(
    kind: InteractionType, view: View | None, watch_time_s: float, duration_s: float | None, watched: Watched
) -> float:
    """Returns what one interaction adds to its video, 0 or more.

    Args:
        kind: What the user did.
        view: What `view_of` returns.
        watch_time_s: Watch time, in seconds.
        duration_s: Length of the video, in seconds; None: unknown.
        watched: What was counted of views before; takes note of this one.
    """
    counted_s = watched.tell(view, watch_time_s) if view else 0.0
    return trending_weight(kind, watch_time_s, duration_s, counted_s)


def hour_of(time: datetime) -> datetime:
    """Returns the start of the hour, which names the bucket."""
    return time.replace(minute=0, second=0, microsecond=0)
