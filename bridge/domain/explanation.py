"""Why a video is on a page: the parts of its score, which add up to it, and a few words for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.ladder import RungName
from bridge.domain.outcome import Source

# Below this a difference is that of float32.
_ROUNDING: Final = 1e-4

# What the stages after the scores moved, and what has changed since another page of the session was ranked.
STAGES: Final = "stages"
SINCE_RANKED: Final = "since_ranked"

_PRIOR: Final = "prior"

# In words, of a video whose place was kept for new ones, whoever ranked the others.
NEW: Final = "new: hardly anybody has met it"

_BY_RUNG: Final[Mapping[str, str]] = {
    RungName.PRECOMPUTED: "picked for you",
    RungName.TRENDING_COUNTRY: "trending in your country",
    RungName.TRENDING_LANGUAGE: "trending in your language",
    RungName.TRENDING_GLOBAL: "trending now",
    RungName.EDITORIAL: "chosen by our editors",
}
_BY_SOURCE: Final[Mapping[Source, str]] = {
    Source.LIGHTFM: "like other videos that you watch",
    Source.PRECOMPUTED: "picked for you",
    Source.TRENDING: "trending now",
    Source.EDITORIAL: "chosen by our editors",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a scorer says of one video.

    Args:
        parts: Names and values; they add up to the score that the model gives now.
        because: Liked videos that speak most for it, best first.
        removed_by: The rule that would keep it off a page made now; empty: none.
    """

    parts: Mapping[str, float] = field(default_factory=dict)
    because: Sequence[str] = ()
    removed_by: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a video was on a page, as it was written down when it was served.

    Args:
        position: Its place in the session, from 1.
        score: Its score.
        parts: What the score was made of; empty: not known.
        source: Where the ranking of the page came from.
        algorithm: What ranked it.
        model_version: The model; empty when none did.
        removed: How many videos each rule took out of the ranking.
        new: Whether its place was kept for new videos.
    """

    position: int
    score: float
    parts: Mapping[str, float]
    source: Source
    algorithm: str
    model_version: str
    removed: Mapping[str, int]
    new: bool = False


def adding_up(parts: Mapping[str, float], score: float, rest: str) -> dict[str, float]:
    """Returns the parts with what is missing to the score under the name `rest`, if anything is."""
    missing = score - sum(parts.values())
    if abs(missing) <= _ROUNDING * max(1.0, abs(score)):
        return dict(parts)
    return {**parts, rest: parts.get(rest, 0.0) + missing}


def in_words(source: Source, rung: str, explanation: Explanation | None) -> str:
    """Returns a few words for people.

    Args:
        source: Where the ranking came from.
        rung: The ladder's rung; empty when it is not known, or a scorer ranked.
        explanation: What a scorer says of the video; None: nothing.
    """
    if source is Source.LIGHTFM and explanation is not None:
        if explanation.because:
            return f"because you watched {explanation.because[0]}"
        if explanation.parts and max(explanation.parts, key=lambda name: explanation.parts[name]) == _PRIOR:
            return "popular now"
    return _BY_RUNG.get(rung, _BY_SOURCE[source])
