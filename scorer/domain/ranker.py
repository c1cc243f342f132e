"""Ranking with one model."""

from collections import Counter
from copy import copy
from dataclasses import replace
from typing import Self

import msgspec
import numpy as np

from runtime.models.model_bundle import UNKNOWN_CODE, Floats, ModelBundle, find_text
from scorer.domain.candidates import Bounds, Candidates, VideoIndex, removed_by_rule
from scorer.domain.corrections import Corrector, Kind, Part
from scorer.domain.exploration import best_newcomers, lots_wanted, newcomers_of
from scorer.domain.filters import CatalogueFilter
from scorer.domain.fold_in import fold_in, rules_of
from scorer.domain.parts import parts_of, with_stages
from scorer.domain.removals import Removals, Rule
from scorer.domain.shortlist import Rows, Shortlist, StageInput, draw, likeness_of, spread_of
from scorer.domain.stages import staged
from scorer.domain.topk import take_out, top_k
from scorer.domain.video_rows import VideoRows
from scorer.domain.wish import DEFAULT_K, NO_STAGES, UNKNOWN_USER, Ranking, Wish


class User(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Whom a ranking is for.

    Args:
        index: Row in the model, or UNKNOWN_CODE.
        row: float32, shape (d + 2,).
    """

    index: int
    row: Floats


class Scored(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Every video's score for one user, before anything is taken out.

    Args:
        user: Whom for.
        scores: float32, shape (n_videos,); the buffer.
        change: What corrections added, float32, shape (n_videos,); None: nothing.
    """

    user: User
    scores: Floats
    change: Floats | None


class Picked(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The best videos that may appear, before the stages.

    Args:
        best: The videos.
        newcomers: New videos that are not among them; None: not wanted.
        removed: How many videos each rule took out; only with parts.
        change: What corrections added, float32, shape (n_videos,); None: nothing.
    """

    best: Shortlist
    newcomers: Shortlist | None
    removed: Counter[str]
    change: Floats | None


class Ranker:
    """Ranks with one model. It changes nothing of its own, so threads may share it, each with its own buffer.

    Args:
        bundle: The verified model.
        index: Its index; None: every ranking looks at all videos.
    """

    def __init__(self, bundle: ModelBundle, index: VideoIndex | None = None) -> None:
        self.bundle = bundle
        arrays = bundle.arrays
        self._arrays = arrays
        self.video_rows = VideoRows(arrays.video_ids)
        catalogue = CatalogueFilter(arrays)
        self._corrector = Corrector(arrays, catalogue)
        self.removals = Removals(arrays, self.video_rows, catalogue, self._corrector)
        self.fold_rules = rules_of(bundle.manifest.params)
        self._likeness = likeness_of(arrays)
        self._newcomers = newcomers_of(arrays)
        self._candidates = None if index is None else Candidates(index, arrays)

    @property
    def cost(self) -> int:
        """Multiplications of one ranking: what it takes, before any of it is done."""
        return int(self._arrays.item_factors.size)

    def with_prior(self, prior: Floats) -> Self:
        """Returns one that ranks with another prior, and shares all else.

        Args:
            prior: float32, shape (n_videos,).
        """
        other = copy(self)
        other._arrays = replace(self._arrays, item_prior=prior)  # noqa: SLF001  # its own class
        other.bundle = replace(self.bundle, arrays=other._arrays)  # noqa: SLF001
        return other

    def buffer(self) -> Floats:
        """Makes room for one user's scores, float32, shape (n_videos,)."""
        return np.empty(len(self._arrays.video_ids), np.float32)

    def rank(self, wish: Wish, buffer: Floats) -> Ranking:
        """Returns the user's best videos: neither seen, excluded, filtered out, blocked nor inactive.

        Args:
            wish: What is asked.
            buffer: What `buffer` made; overwritten.
        """
        user = self._user(wish)
        if user is None:
            return UNKNOWN_USER
        picked = self._by_index(user, wish) or self._by_all(user, wish, buffer)
        served = self._staged(picked, wish)
        return Ranking(
            self.video_rows.ids(served.rows),
            served.values.tolist(),
            known=user.index != UNKNOWN_CODE,
            parts=self._parts(user, picked, served, wish) if wish.parts else b"",
            explored=served.explored,
            propensities=served.propensities,
            removed=picked.removed,
        )

    def score(self, wish: Wish, buffer: Floats) -> Scored | None:
        """Scores every video by model, prior and corrections; None when the model knows nothing of the user."""
        user = self._user(wish)
        return None if user is None else self._score(user, wish, buffer)

    def factor_scores(self, user_row: Floats, buffer: Floats) -> Floats:
        """Writes what LightFM alone gives each video, without prior and masks, into the buffer and returns it."""
        np.matmul(self._arrays.item_factors, user_row, out=buffer)
        return buffer

    def parts(self, user: User, change: Floats | None, rows: Rows, wish: Wish) -> Floats:
        """Takes the scores of some videos apart, float32, shape (n, len(PART_NAMES)); "stages" is 0."""
        arrays = self._arrays
        prior = None if wish.stages.skip_prior else arrays.item_prior[rows]
        return parts_of(user.row, arrays.item_factors[rows], prior, None if change is None else change[rows])

    def _user(self, wish: Wish) -> User | None:
        index = find_text(self._arrays.user_ids, wish.user_id)
        recent = () if wish.stages.skip_fold_in else wish.recent
        row = fold_in(self._arrays, self.fold_rules, index, recent, wish.features)
        return None if row is None else User(index, row)

    def _by_all(self, user: User, wish: Wish, buffer: Floats) -> Picked:
        """Looks at all videos."""
        scored = self._score(user, wish, buffer)
        scores = scored.scores
        removed = self._remove(scored, wish)
        rows = top_k(scores, wish.k or DEFAULT_K)
        best = Shortlist(rows, scores[rows])
        newcomers = None
        if _explores(wish):
            # Whoever is among the best already needs no place kept.
            scores[rows] = -np.inf
            newcomers = best_newcomers(self._newcomers, scores[self._newcomers])
        return Picked(best, newcomers, removed, scored.change)

    def _by_index(self, user: User, wish: Wish) -> Picked | None:
        """Looks at what the index proposes; None when that would not be sure to hold the best."""
        if self._candidates is None or any(each.kind is Kind.REWEIGHT for each in wish.corrections):
            return None
        change = self._corrector.change(wish.corrections, _never_asked) if wish.corrections else None
        removals = self.removals.of(user.index, wish)
        mask, removed = removed_by_rule(removals, len(self._arrays.video_ids), counted=bool(wish.parts))
        bounds = Bounds(user.row, not wish.stages.skip_prior, mask, change)
        best = self._candidates.best(wish.k or DEFAULT_K, bounds)
        if best is None:
            return None
        newcomers = None
        if _explores(wish):
            mask[best.rows] = True
            newcomers = best_newcomers(self._newcomers, self._candidates.scores(self._newcomers, bounds))
        del removed[Rule.INACTIVE.value]
        return Picked(best, newcomers, removed, change)

    def _score(self, user: User, wish: Wish, buffer: Floats) -> Scored:
        scores = self.factor_scores(user.row, buffer)
        change = self._change(wish, user.row, scores) if wish.corrections else None
        if not wish.stages.skip_prior:
            scores += self._arrays.item_prior
        if change is not None:
            scores += change
        return Scored(user, scores, change)

    def _change(self, wish: Wish, user_row: Floats, scores: Floats) -> Floats | None:
        """Returns what corrections add, given the scores without prior."""
        bias = self._arrays.item_factors[:, 0]

        def part(name: Part) -> Floats:
            if name is Part.ITEM_BIAS:
                return bias
            if name is Part.USER_ITEM:
                return np.asarray(scores - bias - user_row[1], np.float32)
            return np.zeros_like(bias) if wish.stages.skip_prior else self._arrays.item_prior

        return self._corrector.change(wish.corrections, part)

    def _remove(self, scored: Scored, wish: Wish) -> Counter[str]:
        """Takes out what must not appear; counts it by rule when the parts are wanted."""
        scores, counts = scored.scores, Counter[str]()
        left = np.count_nonzero(scores > -np.inf) if wish.parts else 0
        for rule, removed in self.removals.of(scored.user.index, wish):
            take_out(scores, removed)
            if wish.parts:
                before, left = left, np.count_nonzero(scores > -np.inf)
                counts[rule.value] += int(before - left)
        del counts[Rule.INACTIVE.value]
        return counts

    def _staged(self, picked: Picked, wish: Wish) -> Shortlist:
        best = picked.best
        if wish.stages is NO_STAGES or len(best.rows) == 0:
            return best
        size = len(best.rows)
        lots = draw(wish.seed, size + lots_wanted(size, wish.stages.exploration)) if wish.seed else None
        return staged(best, StageInput(wish.stages, lots, spread_of(best.values), self._likeness, picked.newcomers))

    def _parts(self, user: User, picked: Picked, served: Shortlist, wish: Wish) -> bytes:
        parts = self.parts(user, picked.change, served.rows[: wish.parts], wish)
        return with_stages(parts, served.values[: wish.parts]).astype("<f4").tobytes()


def _explores(wish: Wish) -> bool:
    return bool(wish.stages.exploration and wish.seed)


def _never_asked(part: Part) -> Floats:
    raise AssertionError(f"no correction weighs {part} anew")
