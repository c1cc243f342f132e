"""The register of trainings and who is still to be told, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from storage.database import sync_engine
from storage.training_outbox import Backlog, backlogs, put_off, queue, told, untold
from storage.trainings import (
    StillRunningError,
    TrainingEnd,
    TrainingStart,
    TrainingStatus,
    beat,
    fail_dead,
    finish,
    read_register,
    register,
    status_of,
)

JOB = "feed_lightfm_retrain"
TWO = datetime(2026, 1, 1, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def connection(database_url: str) -> Iterator[sa.Connection]:
    engine = sync_engine(database_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def start(version: str, at: datetime = TWO, job: str = JOB) -> TrainingStart:
    return TrainingStart(version, "lightfm-warp", {"VIEW": 0.1}, {"min_users": 50}, at, job)


def test_a_training_is_read_back_as_it_was_told(connection: sa.Connection) -> None:
    register(connection, start("m1"))
    end = TrainingEnd(
        TrainingStatus.REFUSED,
        TWO + MINUTE,
        "too few",
        {"interactions": 7},
        {"ndcg_at_10": 0.5, "auc": float("nan")},
        {"epochs": 5, "combined": "x"},
        {"fit on past": 1.25},
    )
    finish(connection, "m1", end)
    found = status_of(connection, "m1")
    assert found is not None
    assert (found.status, found.error, found.elapsed_s) == (TrainingStatus.REFUSED, "too few", 60.0)
    assert (found.counts, found.metrics) == ({"interactions": 7}, {"ndcg_at_10": 0.5})
    assert (found.params, found.durations_s) == ({"epochs": 5, "combined": "x"}, {"fit on past": 1.25})
    assert status_of(connection, "m2") is None


def test_of_one_job_only_one_training_runs(connection: sa.Connection) -> None:
    register(connection, start("m1"))
    with pytest.raises(StillRunningError, match=JOB), connection.begin_nested():
        register(connection, start("m2"))
    register(connection, start("m3", job="another"))
    finish(connection, "m1", TrainingEnd(TrainingStatus.SUCCEEDED, TWO + MINUTE))
    register(connection, start("m2"))


def test_only_whose_heart_is_silent_is_dead_or_who_is_known_to_be(connection: sa.Connection) -> None:
    register(connection, start("silent"))
    register(connection, start("alive", job="second"))
    beat(connection, "alive", TWO + 2 * MINUTE)
    assert [run.model_version for run in fail_dead(connection, TWO + MINUTE, None, ["snowflake"])] == ["silent"]
    dead, alive = status_of(connection, "silent"), status_of(connection, "alive")
    assert dead is not None
    assert alive is not None
    assert (dead.status, dead.error) == (
        TrainingStatus.FAILED,
        "killed: no heartbeat since 2026-01-01 02:00:00 UTC",
    )
    assert alive.status is TrainingStatus.STARTED
    assert [item.model_version for item in untold(connection, "snowflake")] == ["silent"]
    assert [run.model_version for run in fail_dead(connection, TWO, "alive")] == ["alive"]
    assert fail_dead(connection, TWO + 9 * MINUTE, "alive") == []


def test_a_beat_after_the_end_changes_nothing(connection: sa.Connection) -> None:
    register(connection, start("m1"))
    finish(connection, "m1", TrainingEnd(TrainingStatus.SUCCEEDED, TWO + MINUTE))
    before = status_of(connection, "m1")
    beat(connection, "m1", TWO + 2 * MINUTE)
    assert status_of(connection, "m1") == before


def test_the_register_tells_the_last_run_and_the_last_success_of_its_job(connection: sa.Connection) -> None:
    assert read_register(connection, JOB).last is None
    ends = (("m1", TrainingStatus.SUCCEEDED), ("m2", TrainingStatus.REFUSED))
    for hours, (version, status) in enumerate(ends):
        register(connection, start(version, TWO + timedelta(hours=hours)))
        finish(connection, version, TrainingEnd(status, TWO + timedelta(hours=hours, minutes=1)))
    register(connection, start("other", TWO + timedelta(days=1), "another"))
    found = read_register(connection, JOB)
    assert (found.last and found.last.model_version, found.last_success_at) == ("m2", TWO + MINUTE)


def test_what_was_queued_waits_until_it_was_told(connection: sa.Connection) -> None:
    queue(connection, "m1", ["mlflow", "snowflake"], TWO)
    queue(connection, "m2", ["snowflake"], TWO + MINUTE)
    assert backlogs(connection) == {"mlflow": Backlog(1, TWO), "snowflake": Backlog(2, TWO)}
    first, second = untold(connection, "snowflake")
    put_off(connection, "snowflake", first, TWO + 9 * MINUTE, "away")
    assert backlogs(connection) == {"mlflow": Backlog(1, TWO), "snowflake": Backlog(2, TWO + 9 * MINUTE)}
    assert [item.model_version for item in untold(connection, "snowflake")] == ["m2", "m1"]
    told(connection, "snowflake", second)
    assert [(item.model_version, item.attempts) for item in untold(connection, "snowflake")] == [("m1", 1)]


def test_a_status_that_was_written_anew_meanwhile_is_told_again(connection: sa.Connection) -> None:
    queue(connection, "m1", ["snowflake"], TWO)
    (read,) = untold(connection, "snowflake")
    queue(connection, "m1", ["snowflake"], TWO + MINUTE)
    told(connection, "snowflake", read)
    assert [item.queued_at for item in untold(connection, "snowflake")] == [TWO + MINUTE]
