"""Why a video has the score it has for a user, and why it may not appear."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from runtime.models.model_bundle import BIAS_COLUMNS, UNKNOWN_CODE, Codes, Floats
from scorer.domain.fold_in import describe
from scorer.domain.parts import PART_NAMES
from scorer.domain.ranker import Ranker, Scored
from scorer.domain.removals import Removed, Rule
from scorer.domain.wish import Wish

# Most videos that a score is put down to.
MOST_BECAUSE: Final = 3

# The user-item part where a bundle says which share of it the liked videos have.
OWN: Final = "user_own"
LIKED: Final = "user_liked"

_USER_ITEM: Final = "user_item"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the score of one video is made of.

    Args:
        video_id: The video.
        score: Its score before stages; 0 when the model knows the user or the video not.
        parts: Name and value of each part; they add up to the score.
        because: The liked videos that speak most for it, best first.
        removed_by: The first rule that takes it out; None: none does.
        known: Whether the model knows the video.
    """

    video_id: str
    score: float = 0.0
    parts: tuple[tuple[str, float], ...] = ()
    because: tuple[str, ...] = ()
    removed_by: Rule | None = None
    known: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """Explanations, one a video, and whether the model was trained with the user."""

    explanations: list[Explanation]
    known: bool


def explain(ranker: Ranker, wish: Wish, video_ids: Sequence[str], buffer: Floats) -> Explained:
    """Says what the scores of some videos are made of, without the stages, which depend on the other videos.

    Args:
        ranker: The model.
        wish: As the ranking was asked for.
        video_ids: The videos.
        buffer: Room for one user's scores; overwritten.
    """
    scored = ranker.score(wish, buffer)
    if scored is None:
        known = [Explanation(video_id, known=ranker.video_rows.row(video_id) != UNKNOWN_CODE) for video_id in video_ids]
        return Explained(known, known=False)
    story = _Story(ranker, wish, scored)
    return Explained([story.of(video_id) for video_id in video_ids], known=scored.user.index != UNKNOWN_CODE)


class _Story:
    """What is the same for each video of one user."""

    def __init__(self, ranker: Ranker, wish: Wish, scored: Scored) -> None:
        self._ranker = ranker
        self._arrays = ranker.bundle.arrays
        self._wish = wish
        self._scored = scored
        self._removals = list(ranker.removals.of(scored.user.index, wish))
        recent = () if wish.stages.skip_fold_in else wish.recent
        self._user = describe(self._arrays, ranker.fold_rules, scored.user.index, recent, wish.features)

    def of(self, video_id: str) -> Explanation:
        """Explains one video."""
        row = self._ranker.video_rows.row(video_id)
        if row == UNKNOWN_CODE:
            return Explanation(video_id)
        return Explanation(
            video_id,
            float(self._scored.scores[row]),
            tuple(self._parts(row)),
            tuple(self._because(row)),
            next((rule for rule, removed in self._removals if _takes_out(removed, row)), None),
            known=True,
        )

    def _parts(self, row: int) -> Iterator[tuple[str, float]]:
        values = self._ranker.parts(self._scored.user, self._scored.change, np.array([row]), self._wish)[0]
        # The stages depend on the other videos of a ranking.
        for name, value in zip(PART_NAMES[:-1], values.tolist()[:-1], strict=True):
            if name == _USER_ITEM and self._user is not None and len(self._user.liked):
                own = float(self._embedding(row) @ self._user.own[BIAS_COLUMNS:])
                yield from ((OWN, own), (LIKED, value - own))
            else:
                yield name, value

    def _because(self, row: int) -> Iterator[str]:
        """Returns the liked videos whose embeddings add most to the score; their biases speak for each video alike."""
        liked = _NOBODY if self._user is None else self._user.liked
        speaks = self._arrays.history_factors[liked, BIAS_COLUMNS:] @ self._embedding(row)
        for place in np.argsort(-speaks, kind="stable")[:MOST_BECAUSE].tolist():
            if speaks[place] > 0 and liked[place] != row:
                yield self._arrays.video_ids[liked[place]].decode()

    def _embedding(self, row: int) -> Floats:
        return self._arrays.item_factors[row, BIAS_COLUMNS:]


_NOBODY: Final[Codes] = np.empty(0, np.int32)


def _takes_out(removed: Removed, row: int) -> bool:
    return bool(removed[row]) if removed.dtype == np.bool_ else bool((removed == row).any())
