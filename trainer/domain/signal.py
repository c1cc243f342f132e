"""What an interaction says about liking: its weight, its sign, and whether it counts as positive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from runtime.model_bundle import DISLIKED_RATING, LIKED_RATING, Floats
from trainer.domain.log import DAY_S, InteractionLog, Kind

# A click alone tells that the cover worked, not that the video did.
_POSITIVE_KINDS: Final = (Kind.LIKE, Kind.SHARE, Kind.COMMENT, Kind.FOLLOW)


@dataclass(frozen=True, slots=True)
class SignalRules:
    """How interactions are weighed.

    Args:
        weights: Weight by kind; negative for kinds that say no. RATE has the weight's sign from the rating.
        long_view_s: A view this long, or of the whole video, is a long view; seconds.
        half_life_days: An interaction this old weighs half.
    """

    weights: Mapping[Kind, float]
    long_view_s: float
    half_life_days: float


def is_long_view(log: InteractionLog, duration_s: Floats, rules: SignalRules) -> npt.NDArray[np.bool_]:
    """Tells which interactions are long views.

    Args:
        log: The interactions.
        duration_s: Length of each video by row of `log.video_ids`, seconds; 0 or less is unknown.
        rules: The bound.
    """
    duration = duration_s[log.video]
    enough = np.where(duration > 0, np.minimum(duration, rules.long_view_s), rules.long_view_s)
    return np.asarray((log.kind == Kind.VIEW) & (log.watch_time_s >= enough), np.bool_)


def is_positive(log: InteractionLog, duration_s: Floats, rules: SignalRules) -> npt.NDArray[np.bool_]:
    """Tells which interactions say that the user liked the video."""
    liked = np.isin(log.kind, _POSITIVE_KINDS)
    rated = (log.kind == Kind.RATE) & (log.rating >= LIKED_RATING)
    return np.asarray(liked | rated | is_long_view(log, duration_s, rules), np.bool_)


def signal_weights(log: InteractionLog, duration_s: Floats, rules: SignalRules, now_s: float) -> Floats:
    """Weighs each interaction: its kind's weight, times the watched share of a view, halved with age.

    Args:
        log: The interactions.
        duration_s: As in `is_long_view`.
        rules: The weights.
        now_s: Epoch seconds at which age is zero.
    """
    by_kind = np.array([rules.weights.get(kind, 0.0) for kind in Kind], np.float32)
    weight = by_kind[log.kind]
    weight = np.where(log.kind == Kind.VIEW, weight * _watched_share(log, duration_s, rules), weight)
    weight = np.where(log.kind == Kind.RATE, weight * _rating_sign(log), weight)
    age_days = np.maximum(now_s - log.time_s, 0.0) / DAY_S
    return (weight * np.exp2(-age_days / rules.half_life_days)).astype(np.float32)


def _watched_share(log: InteractionLog, duration_s: Floats, rules: SignalRules) -> Floats:
    """Watched share of each video, 0 to 1; of an unknown length it is taken from a long view's bound."""
    duration = duration_s[log.video]
    whole = np.where(duration > 0, duration, rules.long_view_s)
    return np.clip(log.watch_time_s / whole, 0.0, 1.0).astype(np.float32)


def _rating_sign(log: InteractionLog) -> Floats:
    liked = (log.rating >= LIKED_RATING).astype(np.float32)
    return liked - (log.rating <= DISLIKED_RATING).astype(np.float32)
