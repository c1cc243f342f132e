"""The best videos of many users at once, as a scorer without stages would rank them: lists to fall back on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from runtime.models.model_bundle import Codes, Floats, ModelArrays
from trainer.domain.dataset import Lists
from trainer.domain.ranking import MASKED, Scores, scored_blocks


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
    prior = np.where(arrays.item_active, arrays.item_prior, np.float32(MASKED))
    for chunk, scores in scored_blocks(Scores(arrays.user_factors, arrays.item_factors, prior), seen, users):
        yield [_best(user, row, count) for user, row in zip(chunk.tolist(), scores, strict=True)]


def _best(user: int, scores: Floats, count: int) -> OwnList:
    deep = min(count, len(scores))
    part = np.sort(np.argpartition(-scores, deep - 1)[:deep])
    # Equal scores in the order of the videos, as a scorer has them.
    best = part[np.argsort(-scores[part], kind="stable")]
    best = best[scores[best] > MASKED]
    return OwnList(user, best.astype(np.int32), scores[best])
