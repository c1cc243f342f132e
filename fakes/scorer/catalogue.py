"""Invented rankings: for each user another one, always the same."""

import math
import zlib
from collections.abc import Collection, Iterator
from itertools import islice

DEFAULT_K = 200


def rank(user_id: str, videos: int, k: int, excluded: Collection[str]) -> tuple[list[str], list[float]]:
    """Ranks the videos `v1` to `vN`.

    Args:
        user_id: Whose ranking.
        videos: Size of the catalogue, at least 1.
        k: How many to return at most; 0: 200.
        excluded: Ids that must not appear.

    Returns:
        The ids, best first, without repeats, and their scores, falling from 1.
    """
    free = (video_id for video_id in _order(user_id, videos) if video_id not in excluded)
    video_ids = list(islice(free, k or DEFAULT_K))
    return video_ids, [1.0 / place for place in range(1, len(video_ids) + 1)]


def _order(user_id: str, videos: int) -> Iterator[str]:
    """Walks the whole catalogue once: from a place and with a stride of the user's own."""
    digest = zlib.crc32(user_id.encode())
    stride = digest % videos or 1
    while math.gcd(stride, videos) > 1:
        stride += 1
    place = digest // videos
    return (f"v{(place + step * stride) % videos + 1}" for step in range(videos))
