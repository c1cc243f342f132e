"""The process that trains every night."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.process import Service
from runtime.settings import load
from storage.database import upgrade
from storage.trainings import TrainingEnd, TrainingStart, TrainingStatus
from tests.http import call
from tests.polling import until
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.adapters.schedule_apscheduler import NightlySchedule
from trainer.app import build
from trainer.metrics import RunOutcome
from trainer.settings import TrainerSettings


def metrics_of(text: str) -> dict[str, float]:
    lines = [line.split() for line in text.splitlines() if line.startswith("feed_trainer_")]
    return {name: float(value) for name, value in lines}


async def test_it_is_ready_and_shows_when_it_trains_and_how_old_the_model_is(tmp_path: Path) -> None:
    app = build(load(TrainerSettings, {"FEED_DATA_DIR": str(tmp_path)}))
    async with Service("trainer", app, grpc_port=None, http_port=0) as service:

        async def metrics() -> dict[str, float]:
            return metrics_of((await call(service.http_port, "GET", "/metrics")).text)

        async def ready() -> int:
            try:
                return (await call(service.http_port, "GET", "/readyz")).status
            except ConnectionRefusedError:
                return 0

        await until(ready, 200)
        shown = await metrics()
        planned = datetime.fromtimestamp(shown["feed_trainer_next_run_timestamp_seconds"], UTC)
        assert (planned.hour, planned.minute) == (2, 0)
        assert 0 < (planned - datetime.now(UTC)).total_seconds() <= 86_400
        assert shown["feed_trainer_model_age_seconds"] == float("inf")
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "LIVE").write_text("m1\n")
        assert 0 <= (await metrics())["feed_trainer_model_age_seconds"] < 60


@pytest.mark.parametrize("outcome", list(RunOutcome))
async def test_runs_are_counted_by_how_they_end(tmp_path: Path, outcome: RunOutcome) -> None:
    app = build(load(TrainerSettings, {"FEED_DATA_DIR": str(tmp_path)}))
    app._metrics.run_ended(outcome)
    counted = {
        each: app.registry.get_sample_value("feed_trainer_runs_total", {"outcome": each.value}) for each in RunOutcome
    }
    assert counted == {each: float(each is outcome) for each in RunOutcome}


async def test_the_job_runs_when_its_time_comes_and_a_failure_does_not_stop_the_clock() -> None:
    ran = []

    async def fail() -> None:
        ran.append(datetime.now(UTC))
        raise OSError("no more processes")

    planned: list[datetime] = []
    schedule = NightlySchedule(2, 0, fail, planned.append)
    schedule.start()
    schedule._scheduler.get_job("feed_lightfm_retrain").modify(next_run_time=datetime.now(UTC))

    async def runs() -> int:
        return len(ran)

    await until(runs, 1)
    assert schedule.is_running
    assert planned[-1].hour == 2
    await schedule.stop()


async def test_a_night_that_nobody_was_there_for_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = datetime.now(UTC) - timedelta(hours=1)
    before = planned - timedelta(days=1)
    with a_night(tmp_path, monkeypatch, planned) as (settings, database):
        database.register(TrainingStart("m1", "als", {}, {}, before, "feed_lightfm_retrain"))
        database.finish("m1", TrainingEnd(TrainingStatus.SUCCEEDED, before), [])
        await fails_for_want_of_data(settings, database)


async def test_a_night_that_was_killed_begins_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = datetime.now(UTC) - timedelta(hours=1)
    with a_night(tmp_path, monkeypatch, planned) as (settings, database):
        database.register(TrainingStart("m1", "als", {}, {}, planned + timedelta(minutes=5), "feed_lightfm_retrain"))
        await fails_for_want_of_data(settings, database)
        killed = database.status_of("m1")
        assert killed
        assert (killed.error or "").startswith("killed")


@contextmanager
def a_night(
    folder: Path, monkeypatch: pytest.MonkeyPatch, planned: datetime
) -> Iterator[tuple[TrainerSettings, TrainingDatabase]]:
    """An empty database, and settings by which the night's run was to begin at a time."""
    environ = {"FEED_DATA_DIR": str(folder), "FEED_TRAINER_MLFLOW_ENABLED": "false"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    environ |= {
        "FEED_TRAINER_SCHEDULE_HOUR": str(planned.hour),
        "FEED_TRAINER_SCHEDULE_MINUTE": str(planned.minute),
        "FEED_TRAINER_POPULARITY_MINUTES": "0",
    }
    settings = load(TrainerSettings, environ)
    upgrade(settings.effective_database_url)
    database = TrainingDatabase(settings.effective_database_url)
    yield settings, database
    database.close()


async def fails_for_want_of_data(settings: TrainerSettings, database: TrainingDatabase) -> None:
    """Starts the scheduler, and waits for the real `feed trainer run`, which has nothing to learn from."""
    app = build(settings)
    await app.start()

    async def failed() -> bool:
        return app.registry.get_sample_value("feed_trainer_runs_total", {"outcome": "failed"}) == 1

    await until(failed, expected=True, bound_s=120)
    await app.stop()
    last = database.read_register("feed_lightfm_retrain").last
    assert last is not None
    assert (last.status, last.counts) == (TrainingStatus.FAILED, {})
    assert "there are no interactions" in (last.error or "")


async def test_what_could_not_be_told_is_told_by_the_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real `feed trainer tell`, to a Snowflake whose key is missing: what it tried is in the outbox."""
    snowflake = {"ACCOUNT": "a", "USER": "u", "PRIVATE_KEY_FILE": "no.p8", "DATABASE": "D", "SCHEMA": "S"}
    environ = {f"FEED_TRAINER_SNOWFLAKE_{name}": value for name, value in snowflake.items()}
    environ |= {"FEED_DATA_DIR": str(tmp_path), "FEED_TRAINER_MLFLOW_ENABLED": "false"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings = load(TrainerSettings, environ)
    upgrade(settings.effective_database_url)
    database = TrainingDatabase(settings.effective_database_url)
    now = datetime.now(UTC)
    database.register(TrainingStart("m1", "als", {}, {}, now, "feed_lightfm_retrain"))
    database.finish("m1", TrainingEnd(TrainingStatus.SUCCEEDED, now), ["snowflake"])
    app = build(settings)
    await app._look()
    assert [item.attempts for item in database.untold("snowflake")] == [1]
    assert app.registry.get_sample_value("feed_trainer_statuses_waiting", {"destination": "snowflake"}) == 1
    app._database.close()
    database.close()


async def test_a_clock_that_only_says_when_starts_nothing(tmp_path: Path) -> None:
    """A CronJob trains; two that train would be in each other's way."""
    environ = {"FEED_DATA_DIR": str(tmp_path), "FEED_TRAINER_SCHEDULE_ENABLED": "false"}
    app = build(load(TrainerSettings, environ))
    await app._train()
    counted = {
        each: app.registry.get_sample_value("feed_trainer_runs_total", {"outcome": each.value}) for each in RunOutcome
    }
    assert counted == dict.fromkeys(RunOutcome, 0.0)
