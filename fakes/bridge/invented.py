"""An invented catalogue and what is watched of it, in a database of the bridge's kind."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from fakes.script.acts import Fallback
from storage.database import sync_engine
from storage.tables import metadata, trending, user_interactions, user_recommendations, videos

MOST_VIDEOS: Final = 1_000
USERS_WITH_LISTS: Final = 20
PERSONAL_VIDEOS: Final = 100

# Segments of trending with the first video of each: another country, another list.
_SEGMENTS: Final = {"global": 1, "US": 11, "DE": 21, "FR": 31, "GB": 41, "BR": 51}
_TRENDING_VIDEOS: Final = 200
_TAGS: Final = ("music", "sport", "cooking", "science")
_LANGUAGES: Final = ("en", "de", "fr", "pt")


def fill(url: str, count: int, fallback: Fallback) -> None:
    """Makes a database with videos `v1` to `vN`, and with the lists that the bridge is to fall back on.

    Args:
        url: SQLite; the file does not exist yet.
        count: Size of the catalogue; the lists hold at most 1,000 of it.
        fallback: The best list that there is.
    """
    numbers = range(1, min(count, MOST_VIDEOS) + 1)
    now = datetime.now(UTC)
    engine = sync_engine(url)
    metadata.create_all(engine, [videos, trending, user_recommendations, user_interactions])
    with engine.begin() as connection:
        if fallback is not Fallback.NOTHING:
            connection.execute(sa.insert(videos), [_video(number, now) for number in numbers])
        if fallback in {Fallback.TRENDING, Fallback.PRECOMPUTED}:
            connection.execute(sa.insert(trending), _trending(len(numbers), now))
        if fallback is Fallback.PRECOMPUTED:
            connection.execute(sa.insert(user_recommendations), _personal(len(numbers), now))
    engine.dispose()


def _video(number: int, now: datetime) -> dict[str, Any]:
    """The higher its number, the newer a video."""
    return {
        "video_id": f"v{number}",
        "title": f"Invented video {number}",
        "author_id": f"a{number % 50}",
        "duration_s": 10.0 + number % 50,
        "tags": [_TAGS[number % len(_TAGS)]],
        "language": _LANGUAGES[number % len(_LANGUAGES)],
        "country": "",
        "published_at": now - timedelta(minutes=MOST_VIDEOS - number),
        "is_active": True,
    }


def _trending(count: int, now: datetime) -> list[dict[str, Any]]:
    hour = now.replace(minute=0, second=0, microsecond=0)
    return [
        {
            "segment": segment,
            "bucket": hour,
            "video_id": f"v{(first + place - 1) % count + 1}",
            "weight": float(_TRENDING_VIDEOS - place),
        }
        for segment, first in _SEGMENTS.items()
        for place in range(min(count, _TRENDING_VIDEOS))
    ]


def _personal(count: int, now: datetime) -> list[dict[str, Any]]:
    """Lists of the users `u1` to `u20`."""
    size = min(count, PERSONAL_VIDEOS)
    return [
        {
            "user_id": f"u{user}",
            "video_id": f"v{(user * 7 + place) % count + 1}",
            "score": 1.0 - place / size,
            "rank": place + 1,
            "algorithm": "lightfm-warp",
            "model_version": "fake-1",
            "generated_at": now,
            "expires_at": now + timedelta(days=365),
        }
        for user in range(1, USERS_WITH_LISTS + 1)
        for place in range(size)
    ]
