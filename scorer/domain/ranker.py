"""Ranking with one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from runtime.model_bundle import UNKNOWN_CODE, Floats, ModelBundle, find_text, find_texts
from scorer.domain.filters import NO_FILTERS, CatalogueFilter, Filters
from scorer.domain.fold_in import Recent, fold_in, rules_of
from scorer.domain.topk import top_k

DEFAULT_K: Final = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for one user.

    Args:
        user_id: The user.
        k: How many videos; 0: DEFAULT_K.
        filters: Which videos may appear.
        exclude_video_ids: Videos that must not.
        recent: What the user did since the training.
        timeout_s: How long its caller still waits, seconds; None: as long as the call it came with.
    """

    user_id: str
    k: int = 0
    filters: Filters = NO_FILTERS
    exclude_video_ids: Sequence[str] = ()
    recent: Sequence[Recent] = ()
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """One user's best videos, best first; empty when the model knows nothing of the user.

    `known` when it was trained with the user; others may be ranked by what they did since. `dropped` when its caller no
    longer waited, so that it was not made.
    """

    video_ids: list[str]
    scores: list[float]
    known: bool
    dropped: bool = False


UNKNOWN_USER: Final = Ranking([], [], known=False)
DROPPED: Final = Ranking([], [], known=False, dropped=True)


class Ranker:
    """Ranks with one model. It changes nothing of its own, so threads may share it, each with its own buffer.

    Args:
        bundle: The verified model.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle
        arrays = bundle.arrays
        self._arrays = arrays
        self._video_ids = [video_id.decode() for video_id in arrays.video_ids.tolist()]
        self._filter = CatalogueFilter(arrays)
        self._fold_rules = rules_of(bundle.manifest.params)
        # An inactive video is masked for everybody, so it costs nothing a request.
        self._prior = np.where(arrays.item_active, arrays.item_prior, np.float32(-np.inf))

    @property
    def cost(self) -> int:
        """Multiplications of one ranking: what it takes, before any of it is done."""
        return int(self._arrays.item_factors.size)

    def buffer(self) -> Floats:
        """Makes room for one user's scores, float32, shape (n_videos,)."""
        return np.empty(len(self._arrays.video_ids), np.float32)

    def rank(self, wish: Wish, buffer: Floats) -> Ranking:
        """Returns the user's best videos: neither seen, excluded, filtered out nor inactive.

        Args:
            wish: What is asked.
            buffer: What `buffer` made; overwritten.
        """
        user_index = find_text(self._arrays.user_ids, wish.user_id)
        user_row = fold_in(self._arrays, self._fold_rules, user_index, wish.recent)
        if user_row is None:
            return UNKNOWN_USER
        scores = self.factor_scores(user_row, buffer)
        scores += self._prior
        self._mask(scores, user_index, wish)
        best = top_k(scores, wish.k or DEFAULT_K)
        video_ids = list(map(self._video_ids.__getitem__, best.tolist()))
        return Ranking(video_ids, scores[best].tolist(), known=user_index != UNKNOWN_CODE)

    def factor_scores(self, user_row: Floats, buffer: Floats) -> Floats:
        """Writes what LightFM alone gives each video, without prior and masks, into the buffer and returns it."""
        np.matmul(self._arrays.item_factors, user_row, out=buffer)
        return buffer

    def _mask(self, scores: Floats, user_index: int, wish: Wish) -> None:
        arrays = self._arrays
        if user_index != UNKNOWN_CODE:
            scores[arrays.seen_of(user_index)] = -np.inf
        if wish.exclude_video_ids:
            rows = find_texts(arrays.video_ids, wish.exclude_video_ids)
            scores[rows[rows != UNKNOWN_CODE]] = -np.inf
        refused = self._filter.refused(wish.filters)
        if refused is not None:
            scores[refused] = -np.inf
