"""What a user did since the training, folded into the model: the user is described anew, the videos stay as they are.

LightFM describes a user by an own embedding and by those of the newest videos that the user liked, each over the square
root of their number. So a like of a minute ago enters exactly as training would have entered it, without a fit, and a
user whom the model has never met is described by the likes, and by what is known of the user beside: together it counts
as one like more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from runtime.models.model_bundle import (
    UNKNOWN_CODE,
    UNKNOWN_DURATION_S,
    BundleError,
    BundleFault,
    Codes,
    Floats,
    ModelArrays,
    find_texts,
)


class Did(StrEnum):
    """What a user did with a video, as far as it says something about liking it."""

    WATCHED = "watched"
    LIKED = "liked"
    DISLIKED = "disliked"
    NOTHING = "nothing"


class Recent(msgspec.Struct, frozen=True, gc=False):
    """One thing that a user did since the training.

    Args:
        video_id: With which video.
        did: What.
        watch_time_s: How long it was watched, in seconds.
        time_ms: When, epoch milliseconds.
    """

    video_id: str
    did: Did
    watch_time_s: float
    time_ms: int


@dataclass(frozen=True, slots=True)
class FoldRules:
    """How the model in use was trained.

    Args:
        long_view_s: A view this long, or of the whole video, is a like, in seconds.
        history_length: Most videos that describe a user; 0: none do, and nothing can be folded in.
    """

    long_view_s: float
    history_length: int


# Of a model whose manifest does not say.
_NO_RULES: Final = FoldRules(long_view_s=18.0, history_length=0)


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """What a user's row is the sum of.

    Args:
        row: float32, shape (d + 2,): what the user's scores are made with.
        own: float32, shape (d + 2,): what the liked videos do not say.
        liked: int32 item_index of the liked videos, newest first.
    """

    row: Floats
    own: Floats
    liked: Codes


def rules_of(params: Mapping[str, float | int | str]) -> FoldRules:
    """Reads the rules from a manifest's parameters.

    Raises:
        BundleError: BAD_MANIFEST when one is not a number from 0 on.
    """
    long_view_s = params.get("long_view_s", _NO_RULES.long_view_s)
    history_length = params.get("history_length", _NO_RULES.history_length)
    if isinstance(long_view_s, str) or long_view_s < 0:
        raise BundleError(BundleFault.BAD_MANIFEST, "params.long_view_s is a number of seconds, 0 or more")
    if not isinstance(history_length, int) or history_length < 0:
        raise BundleError(BundleFault.BAD_MANIFEST, "params.history_length is a whole number, 0 or more")
    return FoldRules(long_view_s, history_length)


def fold_in(
    arrays: ModelArrays, rules: FoldRules, user_index: int, recent: Sequence[Recent], features: Sequence[str] = ()
) -> Floats | None:
    """Returns the row of a user after what was done of late, float32, shape (d + 2,); None when nothing is known.

    Args:
        arrays: The model.
        rules: How it was trained.
        user_index: The user's row, or UNKNOWN_CODE.
        recent: What the user did, in any order.
        features: What is known of the user beside; of one whom the model knows it says nothing more.
    """
    if user_index != UNKNOWN_CODE and not (recent and rules.history_length):
        return np.asarray(arrays.user_factors[user_index], np.float32)
    description = describe(arrays, rules, user_index, recent, features)
    return None if description is None else description.row


def describe(
    arrays: ModelArrays, rules: FoldRules, user_index: int, recent: Sequence[Recent], features: Sequence[str] = ()
) -> Description | None:
    """Returns the same row with what it is the sum of; None when nothing is known."""
    known = user_index != UNKNOWN_CODE
    history = arrays.history_of(user_index) if known else _NOTHING
    liked = history
    if recent and rules.history_length:
        liked = _renewed(history, *_said(arrays, rules, recent))[: rules.history_length]
    if known:
        own = arrays.user_factors[user_index] - _described(arrays, history)
    else:
        told = find_texts(arrays.features, features)
        told = told[told != UNKNOWN_CODE]
        if not len(liked) and not len(told):
            return None
        own = _summed(arrays.feature_factors, told) / np.float32(np.sqrt(1 + len(liked)))
        own[0] = 1.0
    return Description(np.asarray(own + _described(arrays, liked), np.float32), own, liked)


_NOTHING: Final = np.empty(0, np.int32)


def _described(arrays: ModelArrays, items: Codes) -> Floats:
    """Returns what some liked videos say of a user; zeros for none."""
    return _summed(arrays.history_factors, items)


def _summed(factors: Floats, rows: Codes) -> Floats:
    """Returns the sum of some rows over the square root of their number; zeros for none."""
    total = factors[rows].sum(axis=0, dtype=np.float32)
    return np.asarray(total / np.float32(np.sqrt(max(len(rows), 1))), np.float32)


def _said(arrays: ModelArrays, rules: FoldRules, recent: Sequence[Recent]) -> tuple[list[int], set[int]]:
    """Returns the videos that were liked, newest first, and those that were disliked; of both the later one counts."""
    newest_first = sorted(recent, key=lambda each: -each.time_ms)
    rows = find_texts(arrays.video_ids, [each.video_id for each in newest_first]).tolist()
    liked: dict[int, None] = {}
    disliked: set[int] = set()
    for row, each in zip(rows, newest_first, strict=True):
        if row == UNKNOWN_CODE or row in disliked or row in liked:
            continue
        if each.did is Did.DISLIKED:
            disliked.add(row)
        elif each.did is Did.LIKED or _watched_enough(arrays, rules, row, each):
            liked[row] = None
    return list(liked), disliked


def _watched_enough(arrays: ModelArrays, rules: FoldRules, row: int, recent: Recent) -> bool:
    if recent.did is not Did.WATCHED:
        return False
    duration_s = float(arrays.item_duration_s[row])
    unknown = duration_s == UNKNOWN_DURATION_S or duration_s <= 0
    return recent.watch_time_s >= (rules.long_view_s if unknown else min(duration_s, rules.long_view_s))


def _renewed(history: Codes, liked: Sequence[int], disliked: set[int]) -> Codes:
    """Puts the new likes before the old ones; what was liked again counts once, what is disliked now not at all."""
    gone = disliked.union(liked)
    return np.array([*liked, *(row for row in history.tolist() if row not in gone)], np.int32)
