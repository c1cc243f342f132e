"""A small log with two tastes, in a real database."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runtime.settings import load
from storage.database import sync_engine
from storage.tables import user_interactions, videos
from trainer.app import training
from trainer.ports import SilentProgress
from trainer.service import Training
from trainer.settings import TrainerSettings

USERS, VIDEOS, DAYS = 120, 60, 8
FIRST_DAY = datetime(2025, 9, 1, tzinfo=UTC)

# Small and with one thread, so that a run takes a second and a seed gives the same model again. Without MLflow, whose
# start takes longer than the run.
SMALL = {
    "FEED_TRAINER_MLFLOW_ENABLED": "false",
    "FEED_TRAINER_DIMENSIONS": "8",
    "FEED_TRAINER_EPOCHS": "12",
    "FEED_TRAINER_THREADS": "1",
    "FEED_TRAINER_GATE_MIN_INTERACTIONS": "100",
}


def interaction(number: int, user: int, video: int, day: int, **changes: Any) -> dict[str, Any]:
    """One whole view at noon and some."""
    time = FIRST_DAY + timedelta(days=day, hours=12, seconds=user, milliseconds=video)
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012}",
        "user_id": f"u{user:03}",
        "video_id": f"v{video:03}",
        "interaction_type": "VIEW",
        "watch_time_s": 20.0,
        "event_time": time,
        "ingest_time": time,
        **changes,
    }


def two_tastes(days: Iterable[int] = range(DAYS)) -> list[dict[str, Any]]:
    """Even users watch even videos, odd users odd ones, three a day, each another one for ten days."""
    return [
        interaction(
            (day * USERS + user) * 3 + nth, user, (user % 2) + 2 * ((user * 7 + day * 3 + nth) % (VIDEOS // 2)), day
        )
        for day in days
        for user in range(USERS)
        for nth in range(3)
    ]


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """The database, filled."""
    engine = sync_engine(database_url)
    catalogue = [
        {"video_id": f"v{n:03}", "author_id": f"a{n % 5}", "duration_s": 20.0, "tags": ["t"], "is_active": n != 7}
        for n in range(VIDEOS)
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(videos), catalogue)
        connection.execute(sa.insert(user_interactions), two_tastes())
    yield engine
    engine.dispose()


@pytest.fixture
def settings_of(database_url: str, tmp_path: Path) -> Callable[..., TrainerSettings]:
    """Makes settings for a data directory of the test."""

    def make(**changes: str) -> TrainerSettings:
        return load(
            TrainerSettings, {**SMALL, "FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": database_url, **changes}
        )

    return make


@pytest.fixture
def job_of(settings_of: Callable[..., TrainerSettings]) -> Iterator[Callable[..., Training]]:
    """Makes trainings; their databases are closed at the end."""
    opened = []

    def make(**changes: str) -> Training:
        context = training(settings_of(**changes), SilentProgress())
        opened.append(context)
        return context.__enter__()

    yield make
    for context in opened:
        context.__exit__(None, None, None)
