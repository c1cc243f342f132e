"""Active users' lists, written by the nightly job and read by a bridge, on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from storage.database import Database
from storage.tables import user_interactions, user_recommendations
from storage.user_recommendations import load_user_recommendations
from tests.integration.trainer.conftest import DAYS, FIRST_DAY, USERS, interaction
from tests.integration.trainer.test_cli import trainer
from trainer.service import Training

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATE = FIRST_DAY + timedelta(days=DAYS)
Jobs = Callable[..., Training]


@pytest.fixture
def listing(job_of: Jobs, engine: sa.Engine) -> Jobs:
    """Makes trainings that write lists of five; one of the users was not here for long."""
    with engine.begin() as connection:
        connection.execute(sa.delete(user_interactions).where(user_interactions.c.user_id == "u003"))
        row = interaction(999_999, 3, 3, 0, event_time=LATE - timedelta(days=8))
        connection.execute(sa.insert(user_interactions), [row])
    return lambda **changes: job_of(FEED_TRAINER_PRECOMPUTE_VIDEOS="5", **changes)


def lists(engine: sa.Engine) -> dict[str, list[str]]:
    columns = user_recommendations.c
    with engine.connect() as connection:
        rows = connection.execute(sa.select(columns.user_id, columns.video_id).order_by(columns.user_id, columns.rank))
        found: dict[str, list[str]] = {}
        for user_id, video_id in rows:
            found.setdefault(user_id, []).append(video_id)
    return found


async def test_active_users_get_a_list_that_a_bridge_can_read(
    listing: Jobs, engine: sa.Engine, database_url: str
) -> None:
    result = listing().run()
    made = lists(engine)
    assert len(made) == USERS - 1
    assert "u003" not in made
    assert {len(videos) for videos in made.values()} == {5}
    database = Database(database_url)
    async with database.read() as connection:
        rows, _ = await load_user_recommendations(connection, "u004", 10, with_videos=False)
    await database.close()
    assert [row[0] for row in rows] == made["u004"]
    assert {row[3] for row in rows} == {result.model_version}
    assert {row[5] - row[4] for row in rows} == {48 * 3600}


def test_lists_are_replaced_and_those_that_hold_no_longer_are_deleted(listing: Jobs, engine: sa.Engine) -> None:
    job = listing()
    job.run()
    columns = user_recommendations.c
    with engine.begin() as connection:
        connection.execute(sa.delete(user_interactions).where(user_interactions.c.user_id == "u004"))
        of_u004 = sa.update(user_recommendations).where(columns.user_id == "u004")
        connection.execute(of_u004.values(expires_at=NOON))
        of_u005 = sa.update(user_recommendations).where(columns.user_id == "u005", columns.rank <= 3)
        connection.execute(of_u005.values(model_version="older"))
    assert job.precompute() == USERS - 2
    made = lists(engine)
    assert "u004" not in made
    assert {len(videos) for videos in made.values()} == {5}
    with engine.connect() as connection:
        older = sa.select(sa.func.count()).where(columns.model_version == "older")
        assert connection.scalar(older) == 0


def test_a_model_that_does_not_serve_makes_no_lists(listing: Jobs, engine: sa.Engine) -> None:
    listing().run(promote=False)
    assert lists(engine) == {}
    assert listing().precompute() == 0


def test_the_command_tells_how_many_it_wrote(listing: Jobs, tmp_path: Path, database_url: str) -> None:
    listing().run()
    refused = trainer(tmp_path, "precompute", FEED_DATABASE_URL=database_url)
    assert refused.returncode == 2
    assert "FEED_TRAINER_PRECOMPUTE_VIDEOS is 0" in refused.stderr
    written = trainer(tmp_path, "precompute", FEED_DATABASE_URL=database_url, FEED_TRAINER_PRECOMPUTE_VIDEOS="3")
    assert written.stdout.splitlines()[-1] == f"lists written: {USERS - 1}"
