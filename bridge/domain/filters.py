"""Which videos may appear on a page that no scorer filtered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the catalogue says of a video.

    Args:
        author_id: Whose it is.
        tags: Its tags.
        language: Its language (BCP 47); empty when unknown.
        duration_s: Its length in seconds; None when unknown.
        published_time: When it was published, in Unix seconds; None when unknown.
    """

    author_id: str
    tags: frozenset[str]
    language: str
    duration_s: float | None
    published_time: float | None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a caller asks of every video. An empty condition does not limit.

    Args:
        excluded: Videos that must not appear: excluded by name, or just seen.
        include_tags: It must carry one of these.
        exclude_tags: It must carry none of these.
        exclude_author_ids: It must be by none of these.
        languages: It must be in one of these.
        max_duration_s: It must not be longer, in seconds; 0: any length.
        published_after: It must not be older, in Unix seconds; None: any age.
    """

    excluded: frozenset[str] = frozenset()
    include_tags: frozenset[str] = frozenset()
    exclude_tags: frozenset[str] = frozenset()
    exclude_author_ids: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    max_duration_s: float = 0.0
    published_after: float | None = None


def unconditional(asked: Conditions) -> bool:
    """Says whether a video may appear whatever the catalogue knows of it, unless it is excluded."""
    return not any(in_force(asked) for in_force, _ in _RULES)


def keeper(asked: Conditions, facts: Mapping[str, VideoFacts]) -> Callable[[str], bool]:
    """Returns the test whether a video may appear.

    The filter is strict: a video that cannot be shown to meet a condition, because the catalogue does not know
    it or not enough of it, does not appear.
    """
    tests = [test for in_force, test in _RULES if in_force(asked)]
    if not tests:
        return lambda video_id: video_id not in asked.excluded

    def keep(video_id: str) -> bool:
        video = facts.get(video_id)
        return video_id not in asked.excluded and video is not None and all(test(asked, video) for test in tests)

    return keep


def _another_author(asked: Conditions, video: VideoFacts) -> bool:
    return bool(video.author_id) and video.author_id not in asked.exclude_author_ids


def _short_enough(longest_s: float, video: VideoFacts) -> bool:
    return video.duration_s is not None and video.duration_s <= longest_s


def _new_enough(oldest: float | None, video: VideoFacts) -> bool:
    return oldest is not None and video.published_time is not None and video.published_time >= oldest


# When a condition is in force, and what it asks of a video.
_RULES: Final[tuple[tuple[Callable[[Conditions], bool], Callable[[Conditions, VideoFacts], bool]], ...]] = (
    (lambda asked: bool(asked.include_tags), lambda asked, video: not asked.include_tags.isdisjoint(video.tags)),
    (lambda asked: bool(asked.exclude_tags), lambda asked, video: asked.exclude_tags.isdisjoint(video.tags)),
    (lambda asked: bool(asked.exclude_author_ids), _another_author),
    (lambda asked: bool(asked.languages), lambda asked, video: video.language in asked.languages),
    (lambda asked: asked.max_duration_s > 0, lambda asked, video: _short_enough(asked.max_duration_s, video)),
    (lambda asked: asked.published_after is not None, lambda asked, video: _new_enough(asked.published_after, video)),
)
