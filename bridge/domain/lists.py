"""The lists behind the fallback ladder, and the ladder they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.filters import VideoFacts
from bridge.domain.ladder import Rung, RungName
from bridge.domain.outcome import Source
from bridge.domain.trending import Trend

# The segment of trending that holds everybody; the others are two-letter countries.
EVERYBODY: Final = "global"

NO_TREND: Final = Trend((), ())


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """How often the lists are read.

    Args:
        trending_s: Time between two reads of trending, in seconds.
        editorial_s: The same for the editorial list: it hardly changes, and its facts take long to read.
    """

    trending_s: float = 30.0
    editorial_s: float = 300.0


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
    """

    everybody: Sequence[Rung]
    countries: Mapping[str, Sequence[Rung]] = field(default_factory=dict)

    def of(self, country: str) -> Sequence[Rung]:
        """Returns the ladder for a country (empty: unknown), best rung first; the last may be an empty list."""
        return self.countries.get(country, self.everybody)


def ladders(trending: TrendingLists | None, editorial: EditorialList | None) -> Ladders:
    """Makes the ladders: the country's trend, then everybody's, then the editorial list."""
    trends = trending.trends if trending else {}
    facts = {**(editorial.facts if editorial else {}), **(trending.facts if trending else {})}
    last = _editorial(editorial.video_ids if editorial else (), facts)
    everybody = (_trending(RungName.TRENDING_GLOBAL, trends.get(EVERYBODY, NO_TREND), facts), last)
    countries = {
        segment: (_trending(RungName.TRENDING_COUNTRY, trend, facts), *everybody)
        for segment, trend in trends.items()
        if segment != EVERYBODY
    }
    return Ladders(everybody, countries)


def active_only(trends: Mapping[str, Trend], facts: Mapping[str, VideoFacts]) -> Mapping[str, Trend]:
    """Drops videos that the catalogue does not hold as active: anybody can report a view of an invented id."""
    return {segment: _kept(trend, facts) for segment, trend in trends.items()}


def _kept(trend: Trend, facts: Mapping[str, VideoFacts]) -> Trend:
    pairs = [pair for pair in zip(trend.video_ids, trend.scores, strict=True) if pair[0] in facts]
    return Trend(tuple(video_id for video_id, _ in pairs), tuple(score for _, score in pairs))


def _trending(name: RungName, trend: Trend, facts: Mapping[str, VideoFacts]) -> Rung:
    return Rung(name, Source.TRENDING, "trending", trend.video_ids, trend.scores, facts=facts)


def _editorial(video_ids: Sequence[str], facts: Mapping[str, VideoFacts]) -> Rung:
    count = len(video_ids)
    scores = tuple((count - place) / count for place in range(count))
    return Rung(RungName.EDITORIAL, Source.EDITORIAL, "editorial", video_ids, scores, facts=facts)
