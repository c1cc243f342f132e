"""What is watched most now, from hourly sums of interaction weights."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListPolicy:
    """How the lists are made.

    Args:
        half_life_s: After how many seconds an interaction counts half in trending.
        buckets: Most hourly sums read of a segment.
        videos: Most videos of a list.
        timeout_s: Longest time to read a list, in seconds.
    """

    half_life_s: float = 86_400.0
    buckets: int = 2_000
    videos: int = 500
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one video gathered in one hour and segment.

    Args:
        time: Start of the hour, in Unix seconds.
        segment: Whose interactions: everybody's, or one country's.
        video_id: The video.
        weight: The sum of the weights.
    """

    time: float
    segment: str
    video_id: str
    weight: float


@dataclass(frozen=True, slots=True)
class Trend:
    """A segment's videos, best first, and their scores."""

    video_ids: tuple[str, ...]
    scores: tuple[float, ...]


def trends(buckets: Iterable[Bucket], *, half_life_s: float, limit: int) -> Mapping[str, Trend]:
    """Ranks each segment's videos by their weights, older ones counting less.

    An hour's age is measured from the newest hour, never from the clock: an imported or paused log must rank
    as it did when it was new, not fade to zeros.

    Args:
        buckets: The hours, in any order.
        half_life_s: After how many seconds a weight counts half.
        limit: Most videos kept of a segment.
    """
    known = list(buckets)
    newest = max((bucket.time for bucket in known), default=0.0)
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for bucket in known:
        sums[bucket.segment][bucket.video_id] += bucket.weight * 0.5 ** ((newest - bucket.time) / half_life_s)
    return {segment: _ranked(weights, limit) for segment, weights in sums.items()}


def _ranked(weights: Mapping[str, float], limit: int) -> Trend:
    # Ties go by id, so that two processes with the same data show the same list.
    best = sorted(((-weight, video_id) for video_id, weight in weights.items() if weight > 0))[:limit]
    return Trend(tuple(video_id for _, video_id in best), tuple(-weight for weight, _ in best))
