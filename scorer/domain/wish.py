"""What is asked for one user, and what is answered."""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

import msgspec

from scorer.domain.corrections import Correction
from scorer.domain.filters import NO_FILTERS, Filters
from scorer.domain.fold_in import Recent

DEFAULT_K: Final = 200


class Stages(msgspec.Struct, frozen=True, gc=False):
    """What is done with the scores before they are a ranking; each default is: nothing but the model and its prior.

    Args:
        shuffle: How much the order differs from that of the scores, 0 to 1; needs a seed.
        diversity: How much videos that are like better ones are held back, 0 to 1.
        max_run: Most videos in a row by one author or with one leading tag; 0: any number.
        exploration: Share of the places that go to new videos, 0 to 0.5; needs a seed.
        skip_prior: Whether the popularity prior is left out.
        skip_fold_in: Whether what the user did since the training is not folded in.
        skip_seen: Whether videos that the user had seen before the training may come back.
    """

    shuffle: float = 0.0
    diversity: float = 0.0
    max_run: int = 0
    exploration: float = 0.0
    skip_prior: bool = False
    skip_fold_in: bool = False
    skip_seen: bool = False


NO_STAGES: Final = Stages()


class Choice(Enum):
    """Which model ranks."""

    AS_TRIED = auto()  # the live one; for the users of a canary the candidate
    LIVE = auto()
    CANDIDATE = auto()  # the live one where there is none


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What is asked for one user.

    Args:
        user_id: The user.
        k: How many videos; 0: DEFAULT_K.
        filters: Which videos may appear.
        exclude_video_ids: Videos that must not.
        recent: What the user did since the training.
        timeout_s: How long its caller still waits, seconds; None: as long as the call it came with.
        excluded_text: Further videos that must not appear, parted by line feeds.
        seed: Seed of the session; 0: no lots are drawn.
        stages: What is done with the scores.
        corrections: What editors changed.
        parts: How many of the best videos come with the parts of their scores.
        features: What is known of the user beside what the user did, such as `country=AT`.
        choice: Which model ranks.
    """

    user_id: str
    k: int = 0
    filters: Filters = NO_FILTERS
    exclude_video_ids: Sequence[str] = ()
    recent: Sequence[Recent] = ()
    timeout_s: float | None = None
    excluded_text: str = ""
    seed: int = 0
    stages: Stages = NO_STAGES
    corrections: Sequence[Correction] = ()
    parts: int = 0
    features: Sequence[str] = ()
    choice: Choice = Choice.AS_TRIED


class Ranking(msgspec.Struct, frozen=True, gc=False):
    """One user's best videos, best first; empty when the model knows nothing of the user.

    Args:
        video_ids: The videos.
        scores: Their scores, never rising.
        known: Whether the model was trained with the user; others may be ranked by what they did since.
        dropped: Whether its caller no longer waited, so that it was not made.
        parts: Parts of the best videos' scores, float32, little-endian, one row a video, columns PART_NAMES.
        explored: Places, from 0, of the videos that hold a place kept for new ones.
        propensities: With which probability each of them got its place.
        removed: How many videos each rule took out; only with parts.
    """

    video_ids: list[str]
    scores: list[float]
    known: bool
    dropped: bool = False
    parts: bytes = b""
    explored: Sequence[int] = ()
    propensities: Sequence[float] = ()
    removed: Mapping[str, int] = {}


UNKNOWN_USER: Final = Ranking([], [], known=False)
DROPPED: Final = Ranking([], [], known=False, dropped=True)
