"""What is watched now, counted on both databases, and published for the scorers."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runtime.models.popularity import Popularity
from runtime.models.popularity_file import POPULARITY_FILE
from storage.tables import user_interactions, videos
from tests.integration.trainer.conftest import FIRST_DAY, interaction
from tests.integration.trainer.test_cli import trainer
from trainer.app import popularity_count
from trainer.settings import TrainerSettings

NOON = FIRST_DAY + timedelta(days=20)


@pytest.fixture
def write(engine: sa.Engine) -> Callable[..., None]:
    """Empties the log of the other tests at first, and adds interactions."""
    with engine.begin() as connection:
        connection.execute(sa.delete(user_interactions))
        connection.execute(sa.update(videos).where(videos.c.video_id == "v001").values(duration_s=5.0))
        connection.execute(sa.update(videos).where(videos.c.video_id == "v002").values(duration_s=None))
    made = iter(range(1_000))

    def add(video: int, hours_ago: float = 0.0, **changes: Any) -> None:
        time = NOON - timedelta(hours=hours_ago)
        row = interaction(next(made), 1, video, 0, event_time=time, ingest_time=NOON, **changes)
        row["feed_session_id"] = changes.get("feed_session_id")
        with engine.begin() as connection:
            connection.execute(sa.insert(user_interactions), [row])

    return add


@pytest.fixture
def count(settings_of: Callable[..., TrainerSettings]) -> Callable[[], dict[str, float] | None]:
    """Counts; returns the views by video, or None when nothing was new."""

    def refresh() -> dict[str, float] | None:
        with popularity_count(settings_of()) as counter:
            return _views(counter.refresh())

    return refresh


def _views(counted: Popularity | None) -> dict[str, float] | None:
    if counted is None:
        return None
    ids = [video_id.decode() for video_id in counted.video_ids.tolist()]
    return {each: round(views, 4) for each, views in zip(ids, counted.recent_views.tolist(), strict=True)}


Write = Callable[..., None]
Count = Callable[[], dict[str, float] | None]


def test_long_views_count_each_halved_with_its_age(write: Write, count: Count) -> None:
    write(3)
    write(3, hours_ago=24)
    write(4, hours_ago=12, watch_time_s=18.0)
    write(4, hours_ago=12, watch_time_s=17.9)  # of 20 s
    write(1, watch_time_s=5.0)  # of 5 s, all of it
    write(2, watch_time_s=17.0)  # of unknown length
    write(5, interaction_type="LIKE")
    write(6, hours_ago=4 * 24 + 1)  # longer ago than counted
    assert count() == {"v001": 1.0, "v003": 1.5, "v004": round(0.5**0.5, 4)}


def test_a_view_that_is_told_again_counts_once(write: Write, count: Count) -> None:
    for watch_time_s in (10.0, 18.0, 19.0):
        write(3, watch_time_s=watch_time_s, feed_session_id="s1")
    assert count() == {"v003": 1.0}
    write(3, watch_time_s=20.0, feed_session_id="s1")
    write(3, watch_time_s=20.0, feed_session_id="s2")
    assert count() == {"v003": 2.0}


def test_counted_in_two_steps_it_is_the_same_as_in_one(write: Write, count: Count, tmp_path: Path) -> None:
    write(3, hours_ago=30)
    write(4, hours_ago=6)
    count()
    write(4, hours_ago=8)  # told late
    write(3)
    in_two = count()
    assert count() is None, "nothing new"
    (tmp_path / "models" / POPULARITY_FILE).write_bytes(b"damaged")
    assert count() == in_two


def test_the_command_says_until_when_it_counted(write: Write, tmp_path: Path, database_url: str) -> None:
    write(3)
    said = [trainer(tmp_path, "popularity", FEED_DATABASE_URL=database_url).stdout.strip() for _ in range(2)]
    assert said == [f"counted until: {NOON:%Y-%m-%d %H:%M:%S} UTC", "nothing new"]
