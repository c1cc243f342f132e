"""The last check of a model before it serves: it ranks."""

from typing import Final

import numpy as np

from scorer.domain.ranker import Ranker
from scorer.domain.wish import Wish

TESTED_USERS: Final = 16
_K: Final = 50


def fault_of(ranker: Ranker) -> str | None:
    """Ranks for a few users; says what is wrong with a ranking, None when nothing is.

    A ranking must be full (as many videos as the user has left, at most 50), distinct, finite and never rising.
    """
    arrays = ranker.bundle.arrays
    users = len(arrays.user_ids)
    buffer = ranker.buffer()
    for user_index in np.unique(np.linspace(0, users - 1, min(TESTED_USERS, users), dtype=np.int64)):
        seen = arrays.seen_of(user_index)
        left = int(arrays.item_active.sum() - arrays.item_active[np.unique(seen)].sum())
        found = ranker.rank(Wish(arrays.user_ids[user_index].decode(), _K), buffer)
        if not found.known or len(set(found.video_ids)) != min(_K, left):
            return f"{len(set(found.video_ids))} videos for user {user_index}, not {min(_K, left)}"
        if not np.isfinite(found.scores).all() or (np.diff(found.scores) > 0).any():
            return f"scores of user {user_index} are not finite or rise"
    return None if arrays.item_active.any() else "no video is active"
