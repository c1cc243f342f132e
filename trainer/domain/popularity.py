"""How much each video is watched now, carried on from count to count."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import numpy as np

from runtime.models.model_bundle import text_table
from runtime.models.popularity import Popularity

# A single view, seven half-lives old: log(1 + 0.01) moves no video past another.
_LEAST: Final = 0.01


def empty(half_life_s: float, counted_until: datetime) -> Popularity:
    """Returns a count of nothing.

    Args:
        half_life_s: Age at which a view counts half, seconds.
        counted_until: From when on the next one counts, UTC.
    """
    return Popularity(counted_until, 0, half_life_s, text_table(()), np.zeros(0, np.float32))


def advanced(
    before: Popularity, added: Iterable[tuple[str, float]], counted_until: datetime, last_row: int
) -> Popularity:
    """Returns the count at a later time: what was counted has aged, what came since is added.

    Args:
        before: The last count.
        added: Long views by video since then, each halved with its age at `counted_until`.
        counted_until: Time of the newest interaction, UTC.
        last_row: Number of the last row in `added`.
    """
    aged = 0.5 ** ((counted_until - before.counted_until).total_seconds() / before.half_life_s)
    views = {
        video_id.decode(): count * aged
        for video_id, count in zip(before.video_ids.tolist(), before.recent_views.tolist(), strict=True)
    }
    for video_id, count in added:
        views[video_id] = views.get(video_id, 0.0) + count
    kept = {video_id: count for video_id, count in views.items() if count >= _LEAST}
    # A text table is in the order of UTF-8, which is that of code points.
    counts = np.array([kept[video_id] for video_id in sorted(kept)], np.float32)
    return Popularity(counted_until, last_row, before.half_life_s, text_table(list(kept)), counts)
