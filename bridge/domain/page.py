"""Cuts a page off a ranking."""

import struct
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import isfinite
from typing import Final

import msgspec

# No video id has one, and parting a text is quicker than reading a message's list.
SEPARATOR: Final = "\n"
_SCORE_BYTES: Final = 4


class Ranking(msgspec.Struct, frozen=True, gc=False):
    """Videos best first, all different, with scores that are finite and never rise, one a video.

    Args:
        video_ids: The videos.
        scores: Their scores.
        propensities: Of the videos that hold a place kept for new ones: with which probability each got it. It may
            name videos that are not here any more.
    """

    video_ids: Sequence[str]
    scores: Sequence[float]
    propensities: Mapping[str, float] = {}

    def explored(self) -> Sequence[tuple[int, float]]:
        """Returns the places, from 0, that were kept for new videos, each with its video's probability to get it."""
        if not self.propensities:
            return ()
        places = enumerate(self.video_ids)
        return [(place, self.propensities[each]) for place, each in places if each in self.propensities]


class Page(msgspec.Struct, frozen=True, gc=False):
    """A page and what is left for the next ones.

    Args:
        video_ids: The videos of the page.
        scores: Their scores.
        first_position: Place of the first one in the feed session, from 1.
        rest: The videos still to come.
        explored: Places of the page, from 0, that were kept for new videos, each with its video's probability of
            getting it.
    """

    video_ids: Sequence[str]
    scores: Sequence[float]
    first_position: int
    rest: Ranking
    explored: Sequence[tuple[int, float]] = ()


def join_ids(video_ids: Sequence[str]) -> str:
    """Returns video ids as scorers' answers and page tokens hold them."""
    return SEPARATOR.join(video_ids)


def split_ids(joined: str) -> list[str]:
    """Returns the video ids of what `join_ids` made."""
    return joined.split(SEPARATOR) if joined else []


def pack_scores(scores: Sequence[float]) -> bytes:
    """Returns scores as scorers' answers and page tokens hold them: float32, little-endian."""
    return struct.pack(f"<{len(scores)}f", *scores)


def unpack_scores(packed: bytes) -> tuple[float, ...]:
    """Returns the scores of what `pack_scores` made; raises struct.error when it is something else."""
    return struct.unpack(f"<{len(packed) // _SCORE_BYTES}f", packed)


def tidy(video_ids: Sequence[str], scores: Sequence[float]) -> Ranking | None:
    """Makes a ranking of what a scorer answered; None when it makes no sense.

    A repeated video keeps its best place, and rising scores are put in order. Scores that are not numbers, or
    more or fewer of them than videos, mean that the answer cannot be trusted at all.
    """
    if len(video_ids) != len(scores) or not isfinite(sum(scores)):
        return None
    in_order = sorted(scores, reverse=True) == list(scores)
    if in_order and len(set(video_ids)) == len(video_ids):
        return Ranking(video_ids, scores)
    pairs = list(zip(scores, video_ids, strict=True))
    if not in_order:
        pairs.sort(key=lambda pair: -pair[0])
    best: dict[str, float] = {}
    for score, video_id in pairs:
        best.setdefault(video_id, score)
    return Ranking(list(best), list(best.values()))


def without(ranking: Ranking, excluded: AbstractSet[str]) -> Ranking:
    """Drops videos that must not appear."""
    if not excluded or excluded.isdisjoint(ranking.video_ids):
        return ranking
    kept = [pair for pair in zip(ranking.video_ids, ranking.scores, strict=True) if pair[0] not in excluded]
    return Ranking([video_id for video_id, _ in kept], [score for _, score in kept], ranking.propensities)


def cut(ranking: Ranking, page_size: int, first_position: int) -> Page:
    """Cuts the next page off a ranking."""
    head = Ranking(ranking.video_ids[:page_size], ranking.scores[:page_size], ranking.propensities)
    rest = Ranking(ranking.video_ids[page_size:], ranking.scores[page_size:], ranking.propensities)
    return Page(head.video_ids, head.scores, first_position, rest, head.explored())
