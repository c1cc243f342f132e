"""The lists behind the fallback ladder, and the ladder they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from bridge.domain.filters import VideoFacts
from bridge.domain.ladder import Rung, RungName
from bridge.domain.outcome import Source
from bridge.domain.trending import Trend
from storage.segments import GLOBAL_SEGMENT, is_language, language_segment

# The segment of trending that holds everybody; the others are countries and languages.
EVERYBODY: Final = GLOBAL_SEGMENT

NO_TREND: Final = Trend((), ())


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """How often the lists are read.

    Args:
        trending_s: Time between two reads of trending, in seconds.
        editorial_s: The same for the editorial list and for new videos: they hardly change, and their facts take long
            to read.
        newcomers: Whether new videos are read.
    """

    trending_s: float = 30.0
    editorial_s: float = 300.0
    newcomers: bool = False


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


class Viewer(NamedTuple):
    """Whom a ladder is for.

    Args:
        user_id: The user.
        country: The country of the request; empty: unknown.
        locale: Its locale (BCP 47); empty: unknown.
    """

    user_id: str
    country: str = ""
    locale: str = ""


class Ladders:
    """The rungs, made once for each new list, so that a request only looks them up. Compared by identity.

    Args:
        everybody: The rungs of every ladder; the last may be an empty list.
        segments: The rungs of countries and languages that have a trend of their own.
    """

    def __init__(self, everybody: Sequence[Rung], segments: Mapping[str, Rung] | None = None) -> None:
        self._everybody = tuple(everybody)
        self._segments = dict(segments or {})

    @property
    def empty(self) -> bool:
        """Whether there is nothing to serve to somebody of whom nothing is known."""
        return not any(rung.video_ids for rung in self._everybody)

    def segments_of(self, country: str, locale: str) -> tuple[str, ...]:
        """Returns the segments of a viewer that have a rung of their own, best first."""
        language = language_segment(locale)
        return tuple(segment for segment in (country, language) if segment in self._segments)

    def climb(self, segments: Sequence[str]) -> tuple[Rung, ...]:
        """Returns the ladder over these segments' rungs, best rung first."""
        return (*(self._segments[segment] for segment in segments), *self._everybody)

    def of(self, country: str = "", locale: str = "") -> tuple[Rung, ...]:
        """Returns the ladder of a country and a locale (empty: unknown), best rung first."""
        return self.climb(self.segments_of(country, locale))


def ladders(trending: TrendingLists | None, editorial: EditorialList | None) -> Ladders:
    """Makes the ladders: the country's trend, the language's, everybody's, then the editorial list."""
    trends = trending.trends if trending else {}
    facts = {**(editorial.facts if editorial else {}), **(trending.facts if trending else {})}
    last = _editorial(editorial.video_ids if editorial else (), facts)
    everybody = (_trending(RungName.TRENDING_GLOBAL, trends.get(EVERYBODY, NO_TREND), facts), last)
    segments = {
        segment: _trending(_name_of(segment), trend, facts) for segment, trend in trends.items() if segment != EVERYBODY
    }
    return Ladders(everybody, segments)


def active_only(trends: Mapping[str, Trend], facts: Mapping[str, VideoFacts]) -> Mapping[str, Trend]:
    """Drops videos that the catalogue does not hold as active: anybody can report a view of an invented id."""
    return {segment: _kept(trend, facts) for segment, trend in trends.items()}


def _kept(trend: Trend, facts: Mapping[str, VideoFacts]) -> Trend:
    pairs = [pair for pair in zip(trend.video_ids, trend.scores, strict=True) if pair[0] in facts]
    return Trend(tuple(video_id for video_id, _ in pairs), tuple(score for _, score in pairs))


def _name_of(segment: str) -> RungName:
    return RungName.TRENDING_LANGUAGE if is_language(segment) else RungName.TRENDING_COUNTRY


def _trending(name: RungName, trend: Trend, facts: Mapping[str, VideoFacts]) -> Rung:
    return Rung(name, Source.TRENDING, "trending", trend.video_ids, trend.scores, facts=facts)


def _editorial(video_ids: Sequence[str], facts: Mapping[str, VideoFacts]) -> Rung:
    count = len(video_ids)
    scores = tuple((count - place) / count for place in range(count))
    return Rung(RungName.EDITORIAL, Source.EDITORIAL, "editorial", video_ids, scores, facts=facts)
