"""The process that trains every night."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.process import Service
from runtime.settings import load
from tests.http import call
from tests.polling import until
from trainer.adapters.schedule_apscheduler import NightlySchedule
from trainer.app import build
from trainer.metrics import RunOutcome, RunRecord
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
    app._metrics.run_ended(RunRecord(outcome, 12.5))
    counted = {
        each: app.registry.get_sample_value("feed_trainer_runs_total", {"outcome": each.value}) for each in RunOutcome
    }
    assert counted == {each: float(each is outcome) for each in RunOutcome}
    assert app.registry.get_sample_value("feed_trainer_run_duration_seconds") == 12.5


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
