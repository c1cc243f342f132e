"""The fallback ladder: which list serves when the scorer's does not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from bridge.domain.outcome import Source


class Skip(StrEnum):
    """Why a rung did not serve."""

    EMPTY = "empty"
    FILTERED_OUT = "filtered_out"
    TOO_SHORT = "too_short"


@dataclass(frozen=True, slots=True)
class Rung:
    """One list that could serve, best first.

    Args:
        name: Its name in logs, such as `trending_segment`.
        source: What the caller is told.
        algorithm: What the caller is told.
        video_ids: The videos, all different.
        scores: Their scores, never rising, one a video.
    """

    name: str
    source: Source
    algorithm: str
    video_ids: Sequence[str]
    scores: Sequence[float]


@dataclass(frozen=True, slots=True)
class Choice:
    """The rung that serves, after the filter.

    Args:
        rung: It, holding only videos that may appear.
        skipped: The rungs passed over, each with why.
    """

    rung: Rung
    skipped: tuple[tuple[str, Skip], ...]


def climb(rungs: Sequence[Rung], keep: Callable[[str], bool], page_size: int, limit: int) -> Choice:
    """Chooses the first rung that fills a page, else the one that comes nearest.

    A page never mixes rungs, so that its source is true for each of its videos.

    Args:
        rungs: The lists, in order of preference; at least one.
        keep: Whether a video may appear.
        page_size: How many videos fill the page.
        limit: Most videos taken of a rung, this page's and later ones'; at least `page_size`.
    """
    skipped: list[tuple[str, Skip]] = []
    longest: Rung | None = None
    for rung in rungs:
        kept = _filtered(rung, keep, max(limit, page_size))
        if len(kept.video_ids) >= page_size:
            return Choice(kept, tuple(skipped))
        skipped.append((rung.name, _why(rung, kept)))
        if longest is None or len(kept.video_ids) > len(longest.video_ids):
            longest = kept
    if longest is None:
        raise ValueError("a ladder needs at least one rung")
    return Choice(longest, tuple(entry for entry in skipped if entry[0] != longest.name))


def _filtered(rung: Rung, keep: Callable[[str], bool], limit: int) -> Rung:
    kept = list(islice((place for place, video_id in enumerate(rung.video_ids) if keep(video_id)), limit))
    return replace(
        rung,
        video_ids=[rung.video_ids[place] for place in kept],
        scores=[rung.scores[place] for place in kept],
    )


def _why(rung: Rung, kept: Rung) -> Skip:
    if not rung.video_ids:
        return Skip.EMPTY
    return Skip.TOO_SHORT if kept.video_ids else Skip.FILTERED_OUT
