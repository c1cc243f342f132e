"""A log whose answers are known: videos of some topics, and users who watch mostly one of them.

What is like what is known without a model: two videos of one topic are neighbours, two of different topics are not.
Nothing but the log says so: the catalogue has no tags, and authors make videos of any topic.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from interactions.bulk.trending import rebuild
from storage.database import sync_engine, upgrade
from storage.tables import user_interactions, users, videos

TOPICS: Final = 8
VIDEOS_A_TOPIC: Final = 60
USERS: Final = 320
VIEWS_A_USER: Final = 24
# The last ones have watched only so many: one like more is then a good part of what is known of them.
NEW_USERS: Final = 80
VIEWS_A_NEW_USER: Final = 2
DURATION_S: Final = 20.0

# The trainer's settings for a model of this log in a second or two, the same each time.
SMALL_MODEL: Final = {
    "FEED_TRAINER_DIMENSIONS": "8",
    "FEED_TRAINER_EPOCHS": "15",
    "FEED_TRAINER_THREADS": "1",
    "FEED_TRAINER_GATE_MIN_INTERACTIONS": "100",
    "FEED_TRAINER_FEATURE_MIN_USERS": "20",
    # Every video is watched as often as the others: which of a topic's comes next is chance, and not to be foretold.
    "FEED_TRAINER_GATE_POPULARITY_RATIO": "0",
}


def topic_of(video_id: str) -> int:
    """Returns what a video is about."""
    return int(video_id[1:]) % TOPICS


def nearness(video_id: str, page: Sequence[str]) -> float:
    """Returns the mean similarity of a page to a video: 1 for each neighbour, 0 for each other one."""
    return sum(topic_of(each) == topic_of(video_id) for each in page) / len(page)


def videos_about(topic: int) -> list[str]:
    """Returns the videos of a topic."""
    return [f"v{topic + TOPICS * nth:03}" for nth in range(VIDEOS_A_TOPIC)]


def fans_of(topic: int) -> list[str]:
    """Returns users who have watched much of this topic."""
    return [f"u{user:03}" for user in range(USERS - NEW_USERS) if user % TOPICS == topic]


def new_fans_of(topic: int) -> list[str]:
    """Returns users who have watched a little of this topic."""
    return [f"u{user:03}" for user in range(USERS - NEW_USERS, USERS) if user % TOPICS == topic]


def fill(url: str, now: datetime) -> None:
    """Writes the catalogue, the users, their log of the last days and what trends by it.

    Args:
        url: Of a database; made when it is not there.
        now: The end of the log, UTC.
    """
    upgrade(url)
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.insert(videos), [_video(number, now) for number in range(TOPICS * VIDEOS_A_TOPIC)])
        connection.execute(sa.insert(users), [user_row(f"u{number:03}", number % TOPICS) for number in range(USERS)])
        connection.execute(sa.insert(user_interactions), list(_views(now)))
        rebuild(connection)
    engine.dispose()


def _video(number: int, now: datetime) -> dict[str, Any]:
    return {
        "video_id": f"v{number:03}",
        "author_id": f"a{number % 97}",
        "tags": [],
        "language": "en",
        "duration_s": DURATION_S,
        "published_at": now - timedelta(days=9),
        "is_active": True,
    }


def user_row(user_id: str, topic: int) -> dict[str, Any]:
    """Returns a row of `users`: what is known of a user beside what the user did tells the topic."""
    return {"user_id": user_id, "features": {"club": f"c{topic}"}, "personalised": True}


def _views(now: datetime) -> Iterator[dict[str, Any]]:
    """Yields whole views, three a day and user, each of another video; new users came late."""
    for nth in range(VIEWS_A_USER):
        for user in range(USERS):
            if user >= USERS - NEW_USERS and nth < VIEWS_A_USER - VIEWS_A_NEW_USER:
                continue
            # Two views of three are of the user's own topic, the others of each one in turn.
            topic = user % TOPICS if nth % 3 else (user + nth // 3) % TOPICS
            place = (user * 11 + nth * 7) % VIDEOS_A_TOPIC
            time = now - timedelta(days=8 - nth // 3, seconds=-user * 60 - nth)
            yield {
                "event_id": f"00000000-0000-4000-8000-{nth * USERS + user:012}",
                "user_id": f"u{user:03}",
                "video_id": videos_about(topic)[place],
                "interaction_type": "VIEW",
                "watch_time_s": DURATION_S,
                "event_time": time,
                "ingest_time": time,
            }
