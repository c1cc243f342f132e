"""Cuts a page off a ranking."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class Ranking:
    """Videos best first, all different, with scores that are finite and never rise, one a video."""

    video_ids: Sequence[str]
    scores: Sequence[float]


@dataclass(frozen=True, slots=True)
class Page:
    """A page and what is left for the next ones.

    Args:
        video_ids: The videos of the page.
        scores: Their scores.
        first_position: Place of the first one in the feed session, from 1.
        rest: The videos still to come.
    """

    video_ids: Sequence[str]
    scores: Sequence[float]
    first_position: int
    rest: Ranking


def tidy(video_ids: Sequence[str], scores: Sequence[float]) -> Ranking | None:
    """Makes a ranking of what a scorer answered; None when it makes no sense.

    A repeated video keeps its best place, and rising scores are put in order. Scores that are not numbers, or
    more or fewer of them than videos, mean that the answer cannot be trusted at all.
    """
    ids, numbers = list(video_ids), list(scores)  # once: a message's own containers are slow to walk
    if len(ids) != len(numbers) or not isfinite(sum(numbers)):
        return None
    in_order = sorted(numbers, reverse=True) == numbers
    if in_order and len(set(ids)) == len(ids):
        return Ranking(ids, numbers)
    pairs = list(zip(numbers, ids, strict=True))
    if not in_order:
        pairs.sort(key=lambda pair: -pair[0])
    best: dict[str, float] = {}
    for score, video_id in pairs:
        best.setdefault(video_id, score)
    return Ranking(list(best), list(best.values()))


def without(ranking: Ranking, excluded: frozenset[str]) -> Ranking:
    """Drops videos that must not appear."""
    if not excluded or excluded.isdisjoint(ranking.video_ids):
        return ranking
    kept = [pair for pair in zip(ranking.video_ids, ranking.scores, strict=True) if pair[0] not in excluded]
    return Ranking([video_id for video_id, _ in kept], [score for _, score in kept])


def cut(ranking: Ranking, page_size: int, first_position: int) -> Page:
    """Cuts the next page off a ranking."""
    return Page(
        ranking.video_ids[:page_size],
        ranking.scores[:page_size],
        first_position,
        Ranking(ranking.video_ids[page_size:], ranking.scores[page_size:]),
    )
