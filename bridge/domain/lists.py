"""The lists behind the fallback ladder, and the ladder they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.filters import VideoFacts
from bridge.domain.ladder import Rung
from bridge.domain.outcome import Source
from bridge.domain.trending import Trend

# The segment of trending that holds everybody; the others are two-letter countries.
EVERYBODY: Final = "global"

NO_TREND: Final = Trend((), ())


@dataclass(frozen=True, slots=True)
class TrendingLists:
    """What is watched most.

    Args:
        refreshed_time: When this was read from the database, in Unix seconds.
        trends: The videos by segment, only active ones.
        facts: What the catalogue says of them.
    """

    refreshed_time: float
    trends: Mapping[str, Trend]
    facts: Mapping[str, VideoFacts]


@dataclass(frozen=True, slots=True)
class EditorialList:
    """What serves when nothing else is left.

    Args:
        video_ids: The videos, best first.
        facts: What the catalogue says of them.
    """

    video_ids: tuple[str, ...]
    facts: Mapping[str, VideoFacts]


@dataclass(frozen=True, slots=True)
class Ladders:
    """The ladder of each country, made once for each new list, so that a request only looks it up.

    Args:
        everybody: For a country without a segment of its own, or none.
        countries: For the others.
        facts: What is known of all the videos.
    """

    everybody: Sequence[Rung]
    countries: Mapping[str, Sequence[Rung]] = field(default_factory=dict)
    facts: Mapping[str, VideoFacts] = field(default_factory=dict)


def ladders(trending: TrendingLists | None, editorial: EditorialList | None) -> Ladders:
    """Makes the ladders: the country's trend, then everybody's, then the editorial list."""
    trends = trending.trends if trending else {}
    last = _editorial(editorial.video_ids if editorial else ())
    everybody = (_trending("trending_global", trends.get(EVERYBODY, NO_TREND)), last)
    countries = {
        segment: (_trending("trending_country", trend), *everybody)
        for segment, trend in trends.items()
        if segment != EVERYBODY
    }
    facts = {**(editorial.facts if editorial else {}), **(trending.facts if trending else {})}
    return Ladders(everybody, countries, facts)


def active_only(trends: Mapping[str, Trend], facts: Mapping[str, VideoFacts]) -> Mapping[str, Trend]:
    """Drops videos that the catalogue does not hold as active: anybody can report a view of an invented id."""
    return {segment: _kept(trend, facts) for segment, trend in trends.items()}


def _kept(trend: Trend, facts: Mapping[str, VideoFacts]) -> Trend:
    pairs = [pair for pair in zip(trend.video_ids, trend.scores, strict=True) if pair[0] in facts]
    return Trend(tuple(video_id for video_id, _ in pairs), tuple(score for _, score in pairs))


def _trending(name: str, trend: Trend) -> Rung:
    return Rung(name, Source.TRENDING, "trending", trend.video_ids, trend.scores)


def _editorial(video_ids: Sequence[str]) -> Rung:
    count = len(video_ids)
    scores = tuple((count - place) / count for place in range(count))
    return Rung("editorial", Source.EDITORIAL, "editorial", video_ids, scores)
