"""The fallback ladder: which list serves when the scorer's does not."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from itertools import compress

import msgspec

from bridge.domain.corrections import Corrections, corrected
from bridge.domain.filters import Conditions, VideoFacts, keeper
from bridge.domain.outcome import Source


class RungName(StrEnum):
    """The rungs there are, best first."""

    PRECOMPUTED = "precomputed"
    TRENDING_COUNTRY = "trending_country"
    TRENDING_LANGUAGE = "trending_language"
    TRENDING_GLOBAL = "trending_global"
    EDITORIAL = "editorial"


class Skip(StrEnum):
    """Why a rung did not serve; the last five are about a list that is read when it is needed."""

    EMPTY = "empty"
    FILTERED_OUT = "filtered_out"
    TOO_SHORT = "too_short"
    NONE = "none"
    STALE = "stale"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"


class Rung(msgspec.Struct, frozen=True, gc=False):
    """One list that could serve, best first.

    Args:
        name: Its name in logs and metrics.
        source: What the caller is told.
        algorithm: What the caller is told.
        video_ids: The videos, all different.
        scores: Their scores, never rising, one a video.
        model_version: The model that ranked; empty when none did.
        facts: What the catalogue says of the videos.
    """

    name: str
    source: Source
    algorithm: str
    video_ids: Sequence[str]
    scores: Sequence[float]
    model_version: str = ""
    facts: Mapping[str, VideoFacts] = {}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A rung that cannot serve this request.

    Args:
        name: Its name.
        why: Why not.
    """

    name: str
    why: Skip


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The rung that serves, after the filter.

    Args:
        rung: It, holding only videos that may appear.
        skipped: The rungs passed over, each with why.
    """

    rung: Rung
    skipped: tuple[tuple[str, Skip], ...]


def nothing_gone(video_ids: Sequence[str]) -> AbstractSet[str]:
    """Says that all of them may come back."""
    del video_ids
    return frozenset()


def choose(
    steps: Sequence[Rung | Skipped],
    asked: Conditions,
    page_size: int,
    limit: int,
    gone_of: Callable[[Sequence[str]], AbstractSet[str]] = nothing_gone,
) -> Choice:
    """Chooses the first rung that fills a page, else the one that comes nearest.

    A page never mixes rungs, so that its source is true for each of its videos (but for new ones, which are told of:
    `exploration.py`).

    Args:
        steps: The ladder, best first; at least one rung that can serve.
        asked: Which videos may appear.
        page_size: How many videos fill the page.
        limit: Most videos taken of a rung, this page's and later ones'; at least `page_size`.
        gone_of: Says which of some videos must not come back; asked only of those that are come to.
    """
    passed: list[tuple[str, Skip]] = []
    longest: Rung | None = None
    for step in steps:
        if isinstance(step, Skipped):
            passed.append((step.name, step.why))
            continue
        kept = _kept(step, asked, max(limit, page_size), gone_of)
        if len(kept.video_ids) >= page_size:
            return Choice(kept, tuple(passed))
        passed.append((step.name, _why(step, kept)))
        if longest is None or len(kept.video_ids) > len(longest.video_ids):
            longest = kept
    if longest is None:
        raise ValueError("a ladder needs at least one rung")
    return Choice(longest, tuple(entry for entry in passed if entry[0] != longest.name))


def with_corrections(steps: Sequence[Rung | Skipped], corrections: Corrections) -> tuple[Rung | Skipped, ...]:
    """Returns the ladder as editors have corrected it."""
    return tuple(_corrected(step, corrections) if isinstance(step, Rung) else step for step in steps)


def _corrected(rung: Rung, corrections: Corrections) -> Rung:
    return _holding(rung, *corrected(rung.video_ids, rung.scores, rung.facts, corrections.items))


def _kept(rung: Rung, asked: Conditions, limit: int, gone_of: Callable[[Sequence[str]], AbstractSet[str]]) -> Rung:
    """Takes the videos that may appear, at most `limit`; looks no further down the rung than that takes."""
    video_ids: list[str] = []
    scores: list[float] = []
    for start in range(0, len(rung.video_ids), limit):
        stretch = rung.video_ids[start : start + limit]
        keep = list(map(keeper(asked, rung.facts, gone_of(stretch)), stretch))
        video_ids += compress(stretch, keep)
        scores += compress(rung.scores[start : start + limit], keep)
        if len(video_ids) >= limit:
            break
    return _holding(rung, video_ids[:limit], scores[:limit])


def _holding(rung: Rung, video_ids: Sequence[str], scores: Sequence[float]) -> Rung:
    """Returns the rung with these videos."""
    return Rung(rung.name, rung.source, rung.algorithm, video_ids, scores, rung.model_version, rung.facts)


def _why(rung: Rung, kept: Rung) -> Skip:
    if not rung.video_ids:
        return Skip.EMPTY
    return Skip.TOO_SHORT if kept.video_ids else Skip.FILTERED_OUT
