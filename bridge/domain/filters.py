"""Which videos may appear on a page that no scorer filtered."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import msgspec


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the catalogue says of a video.

    Args:
        author_id: Whose it is.
        tags: Its tags.
        language: Its language (BCP 47); empty when unknown.
        duration_s: Its length in seconds; None when unknown.
        published_time: When it was published, in Unix seconds; None when unknown.
        country: Where it is from (ISO 3166-1 alpha-2); empty when unknown.
    """

    author_id: str
    tags: frozenset[str]
    language: str
    duration_s: float | None
    published_time: float | None
    country: str = ""


class Conditions(msgspec.Struct, frozen=True, gc=False):
    """What a caller asks of every video. An empty condition does not limit.

    Args:
        excluded: Videos that must not appear: excluded by name, or just seen.
        include_tags: It must carry one of these.
        exclude_tags: It must carry none of these.
        exclude_author_ids: It must be by none of these.
        languages: It must be in one of these; case does not matter.
        max_duration_s: It must not be longer, in seconds; 0: any length.
        published_after: It must not be older, in Unix seconds; None: any age.
        include_author_ids: It must be by one of these.
        exclude_languages: It must be in none of these; case does not matter.
        min_duration_s: It must not be shorter, in seconds; 0: any length.
        published_before: It must be older, in Unix seconds; None: any age.
        countries: It must be from one of these.
    """

    excluded: frozenset[str] = frozenset()
    include_tags: frozenset[str] = frozenset()
    exclude_tags: frozenset[str] = frozenset()
    exclude_author_ids: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    max_duration_s: float = 0.0
    published_after: float | None = None
    include_author_ids: frozenset[str] = frozenset()
    exclude_languages: frozenset[str] = frozenset()
    min_duration_s: float = 0.0
    published_before: float | None = None
    countries: frozenset[str] = frozenset()


def unconditional(asked: Conditions) -> bool:
    """Says whether a video may appear whatever the catalogue knows of it, unless it is excluded."""
    return not any(in_force(asked) for in_force, _ in _RULES)


def keeper(
    asked: Conditions, facts: Mapping[str, VideoFacts], gone: AbstractSet[str] = frozenset()
) -> Callable[[str], bool]:
    """Returns the test whether a video may appear.

    The filter is strict: a video that cannot be shown to meet a condition, because the catalogue does not know
    it or not enough of it, does not appear.

    Args:
        asked: What is asked of every video.
        facts: What the catalogue says of them.
        gone: Further videos that must not appear.
    """
    tests = [test for in_force, test in _RULES if in_force(asked)]
    excluded = asked.excluded.union(gone) if gone else asked.excluded
    if not tests:
        return lambda video_id: video_id not in excluded
    wanted = _in_lower_case(asked)

    def keep(video_id: str) -> bool:
        video = facts.get(video_id)
        return video_id not in excluded and video is not None and all(test(wanted, video) for test in tests)

    return keep


def _in_lower_case(asked: Conditions) -> Conditions:
    """Returns the conditions with their languages as they are compared."""
    if not asked.languages and not asked.exclude_languages:
        return asked
    languages = frozenset(map(str.lower, asked.languages))
    return msgspec.structs.replace(
        asked, languages=languages, exclude_languages=frozenset(map(str.lower, asked.exclude_languages))
    )


def _another_author(asked: Conditions, video: VideoFacts) -> bool:
    return bool(video.author_id) and video.author_id not in asked.exclude_author_ids


def _another_language(asked: Conditions, video: VideoFacts) -> bool:
    return bool(video.language) and video.language.lower() not in asked.exclude_languages


def _short_enough(asked: Conditions, video: VideoFacts) -> bool:
    return video.duration_s is not None and video.duration_s <= asked.max_duration_s


def _long_enough(asked: Conditions, video: VideoFacts) -> bool:
    return video.duration_s is not None and video.duration_s >= asked.min_duration_s


def _new_enough(asked: Conditions, video: VideoFacts) -> bool:
    oldest = asked.published_after
    return oldest is not None and video.published_time is not None and video.published_time >= oldest


def _old_enough(asked: Conditions, video: VideoFacts) -> bool:
    end = asked.published_before
    return end is not None and video.published_time is not None and video.published_time < end


# When a condition is in force, and what it asks of a video.
_RULES: Final[tuple[tuple[Callable[[Conditions], bool], Callable[[Conditions, VideoFacts], bool]], ...]] = (
    (lambda asked: bool(asked.include_tags), lambda asked, video: not asked.include_tags.isdisjoint(video.tags)),
    (lambda asked: bool(asked.exclude_tags), lambda asked, video: asked.exclude_tags.isdisjoint(video.tags)),
    (lambda asked: bool(asked.include_author_ids), lambda asked, video: video.author_id in asked.include_author_ids),
    (lambda asked: bool(asked.exclude_author_ids), _another_author),
    (lambda asked: bool(asked.languages), lambda asked, video: video.language.lower() in asked.languages),
    (lambda asked: bool(asked.exclude_languages), _another_language),
    (lambda asked: asked.max_duration_s > 0, _short_enough),
    (lambda asked: asked.min_duration_s > 0, _long_enough),
    (lambda asked: asked.published_after is not None, _new_enough),
    (lambda asked: asked.published_before is not None, _old_enough),
    (lambda asked: bool(asked.countries), lambda asked, video: video.country in asked.countries),
)
