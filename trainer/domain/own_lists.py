"""The best videos of many users at once, as a scorer without stages would rank them: lists to fall back on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np

from runtime.model_bundle import Codes, Floats, ModelArrays
from trainer.domain.dataset import Lists

# Scores in memory at a time: 16 MB.
_BLOCK_SCORES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class PrecomputeRules:
    """Whose lists are made, and how long they hold.

    Args:
        videos: Most videos of a list; 0: none are made.
        active: Users are active who did something within this time before the newest interaction.
        holds: How long a list holds.
    """

    videos: int
    active: timedelta
    holds: timedelta


class OwnList(NamedTuple):
    """A user's best videos.

    Args:
        user: user_index.
        videos: int32 item_index, best first.
        scores: float32, never rising.
    """

    user: int
    videos: Codes
    scores: Floats


def own_lists(arrays: ModelArrays, users: Codes, count: int) -> Iterator[list[OwnList]]:
    """Ranks for users in blocks, so that memory stays flat; what they have seen and inactive videos are left out.

    Args:
        arrays: The model.
        users: user_index of the users.
        count: Most videos of a list.
    """
    seen = Lists(arrays.seen_offsets, arrays.seen_items)
    hidden = np.flatnonzero(~arrays.item_active)
    block = max(1, _BLOCK_SCORES // len(arrays.video_ids))
    for start in range(0, len(users), block):
        chunk = users[start : start + block]
        scores = arrays.user_factors[chunk] @ arrays.item_factors.T + arrays.item_prior
        rows, videos = seen.pairs_of(chunk)
        scores[rows, videos] = -np.inf
        scores[:, hidden] = -np.inf
        yield [_best(user, row, count) for user, row in zip(chunk.tolist(), scores, strict=True)]


def _best(user: int, scores: Floats, count: int) -> OwnList:
    deep = min(count, len(scores))
    part = np.sort(np.argpartition(-scores, deep - 1)[:deep])
    # Equal scores in the order of the videos, as a scorer has them.
    best = part[np.argsort(-scores[part], kind="stable")]
    best = best[scores[best] > -np.inf]
    return OwnList(user, best.astype(np.int32), scores[best])
