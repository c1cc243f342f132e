"""How much an interaction makes its video trend."""

from collections.abc import Mapping
from typing import Final

from interactions.domain.event import InteractionType

# Source: the training weights of the feed (view 0.1, click 0.3, like 0.7, share 1.0); a comment or a follow
# says as much as a like. A rating says how good, not how many; SKIP and HIDE are not counted against a video
# here, because a video that nobody sees must not sink below one that everybody swipes away.
WEIGHTS: Final[Mapping[InteractionType, float]] = {
    InteractionType.VIEW: 0.1,
    InteractionType.CLICK: 0.3,
    InteractionType.LIKE: 0.7,
    InteractionType.COMMENT: 0.7,
    InteractionType.FOLLOW: 0.7,
    InteractionType.SHARE: 1.0,
    InteractionType.RATE: 0.0,
    InteractionType.SKIP: 0.0,
    InteractionType.HIDE: 0.0,
}
_VIEW: Final = WEIGHTS[InteractionType.VIEW]


def trending_weight(
    interaction_type: InteractionType, watch_time_s: float, duration_s: float | None, counted_s: float = 0.0
) -> float:
    """Returns what one interaction adds to its video.

    Args:
        interaction_type: What the user did.
        watch_time_s: Watch time, in seconds; a view counts by the share that was watched, at most once.
        duration_s: Length of the video, in seconds; None: any view that lasted counts whole.
        counted_s: How much of this same view was counted before, in seconds.
    """
    if interaction_type is not InteractionType.VIEW:
        return WEIGHTS[interaction_type]
    if watch_time_s <= counted_s:
        return 0.0
    return _VIEW * (_watched_share(watch_time_s, duration_s) - _watched_share(counted_s, duration_s))


def _watched_share(watch_time_s: float, duration_s: float | None) -> float:
    return min(watch_time_s / duration_s, 1.0) if duration_s else float(watch_time_s > 0)
