"""Places for new videos on the ladder's pages: what hardly anybody has met cannot trend, and would never be met."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from bridge.domain.corrections import Corrections, corrected
from bridge.domain.filters import VideoFacts
from bridge.domain.page import Ranking

# Most videos of a group: a page that looked at 2,000 would take milliseconds.
GROUP: Final = 100

# SplitMix64 (Steele, Lea and Flood 2014), as scorers draw: each number is mixed from its place alone.
_STEP: Final = 0x9E3779B97F4A7C15
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_64_BITS: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class NewcomerList:
    """New videos: active ones that were published last and that hardly anybody has met.

    Args:
        video_ids: They, last published first.
        facts: What the catalogue says of them.
    """

    video_ids: tuple[str, ...]
    facts: Mapping[str, VideoFacts]


@dataclass(frozen=True, slots=True)
class Newcomers:
    """New videos that a page may draw from.

    Args:
        video_ids: They; one group of all.
        facts: What the catalogue says of them.
        groups: How many groups there are, of which the page has drawn this one.
    """

    video_ids: Sequence[str] = ()
    facts: Mapping[str, VideoFacts] = field(default_factory=dict)
    groups: int = 1


NO_NEWCOMERS: Final = Newcomers()


def in_groups(found: NewcomerList | None) -> Sequence[Newcomers]:
    """Parts new videos into groups of one size, give or take a video, so that each has about the same chance."""
    if found is None:
        return ()
    count = -(-len(found.video_ids) // GROUP)
    return [Newcomers(found.video_ids[number::count], found.facts, count) for number in range(count)]


def unblocked(newcomers: Newcomers, corrections: Corrections) -> Newcomers:
    """Takes out what editors block; their boosts change nothing, as lots decide."""
    scores = (0.0,) * len(newcomers.video_ids)
    left = corrected(newcomers.video_ids, scores, newcomers.facts, corrections.items)
    return Newcomers(left.video_ids, newcomers.facts, newcomers.groups)


def lots(seed: int) -> Iterator[float]:
    """Draws numbers, 0 to below 1, without an end.

    Args:
        seed: Of the session, 64 bits.
    """
    while True:
        seed = (seed + _STEP) & _64_BITS
        mixed = seed
        for shift, factor in _MIX:
            mixed = (mixed ^ (mixed >> shift)) * factor & _64_BITS
        mixed ^= mixed >> 31
        yield (mixed >> 11) * 2.0**-53


def explore(
    ranking: Ranking, newcomers: Newcomers, may_appear: Callable[[str], bool], share: float, drawn: Iterator[float]
) -> Ranking:
    """Gives a share of the places to new videos, as scorers do; what stood there moves down, and nothing is lost.

    The list is parted into as many stretches as there are places to give, one place in each, so that each page has its
    share. A new video takes the score of what it moves down. Each of the group has the same chance at each place, and
    each group the same chance to be the page's.

    Args:
        ranking: The videos; what is among them already is not new.
        newcomers: The group of new videos that was drawn.
        may_appear: Says of a video whether it may.
        share: Of the places, 0 to 0.5.
        drawn: Lots, 0 to below 1.
    """
    size = len(ranking.video_ids)
    listed = set(ranking.video_ids)
    left = [each for each in newcomers.video_ids if each not in listed and may_appear(each)]
    count = min(int(size * share + next(drawn)), len(left))
    if not count:
        return ranking
    propensity = 1 / (newcomers.groups * len(left))
    places, chosen = _places(size, count, drawn), _chosen(left, count, drawn)
    video_ids, scores = list(ranking.video_ids), list(ranking.scores)
    for place, video_id in zip(places, chosen, strict=True):
        scores.insert(place, scores[place])
        video_ids.insert(place, video_id)
    return Ranking(video_ids, scores, dict.fromkeys(chosen, propensity))


def _places(size: int, count: int, drawn: Iterator[float]) -> list[int]:
    """Draws one place in each of `count` stretches of about the same length."""
    edges = [number * size // count for number in range(count + 1)]
    return [start + int(next(drawn) * (end - start)) for start, end in pairwise(edges)]


def _chosen(left: list[str], count: int, drawn: Iterator[float]) -> list[str]:
    """Draws `count` videos, each with the same chance; changes the list."""
    for number in range(count):
        other = number + int(next(drawn) * (len(left) - number))
        left[number], left[other] = left[other], left[number]
    return left[:count]
