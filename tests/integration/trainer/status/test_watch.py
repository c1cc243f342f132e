"""What the scheduler sees of runs that anybody started, on both databases."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from storage.trainings import TrainingEnd, TrainingStart, TrainingStatus
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.metrics import TrainerMetrics
from trainer.status.ports import RememberingTelemetry
from trainer.status.watch import RunWatch, Seen

JOB = "feed_lightfm_retrain"


class Rig:
    """A watch with a clock that begins at the true time, for the metrics tell ages by it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.now = datetime.now(UTC)
        self.database = TrainingDatabase(url)
        self.registry = CollectorRegistry()
        self.heard = RememberingTelemetry()
        metrics = TrainerMetrics(self.registry, folder)
        self.watch = RunWatch(self.database, metrics, self.heard, ["mlflow", "snowflake"], lambda: self.now)

    def start(self, version: str) -> None:
        self.database.register(TrainingStart(version, "als", {}, {}, self.now, JOB))

    def end(self, version: str, status: TrainingStatus) -> None:
        end = TrainingEnd(
            status, self.now, None, {"users": 3}, {"ndcg_at_10": 0.25}, {}, {"export": 0.5, "fit on all": 2.5}
        )
        self.database.finish(version, end, ["snowflake"])

    async def look(self) -> Seen:
        seen = await self.watch.look()
        assert seen is not None
        return seen

    def shown(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(f"feed_trainer_{name}", labels)
        assert value is not None
        return value


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(database_url, tmp_path)
    yield rig
    rig.database.close()


async def test_a_run_is_shown_while_it_runs_and_when_it_ended(rig: Rig) -> None:
    assert math.isnan(rig.shown("good_model_age_seconds"))
    await rig.look()
    assert rig.shown("good_model_age_seconds") == math.inf
    rig.start("m1")
    await rig.look()
    states = {state.value: rig.shown("run_state", state=state.value) for state in TrainingStatus}
    assert states == {"started": 1, "succeeded": 0, "refused": 0, "failed": 0}
    assert 0 <= rig.shown("heartbeat_age_seconds") < 60
    rig.now += timedelta(seconds=30)
    rig.end("m1", TrainingStatus.SUCCEEDED)
    seen = await rig.look()
    assert seen.is_telling_due
    assert rig.shown("run_state", state="succeeded") == 1
    assert math.isnan(rig.shown("heartbeat_age_seconds"))
    assert -30 <= rig.shown("good_model_age_seconds") < 60
    assert rig.shown("run_duration_seconds") == pytest.approx(30)
    assert rig.shown("step_duration_seconds", step="fit on all") == 2.5
    assert (rig.shown("run_data", of="users"), rig.shown("run_metric", metric="ndcg_at_10")) == (3, 0.25)
    waiting = [rig.shown("statuses_waiting", destination=name) for name in ("mlflow", "snowflake")]
    assert waiting == [0, 1]


async def test_what_was_known_of_the_run_before_stays_while_the_next_one_runs(rig: Rig) -> None:
    rig.start("m1")
    rig.end("m1", TrainingStatus.REFUSED)
    rig.now += timedelta(seconds=1)
    rig.start("m2")
    await rig.look()
    await rig.look()
    assert rig.shown("run_state", state="started") == 1
    assert rig.shown("good_model_age_seconds") == math.inf, "a refused model is none"


async def test_a_run_whose_heart_stopped_is_marked_and_told_once(rig: Rig) -> None:
    rig.start("m1")
    rig.now += timedelta(seconds=119)
    assert (await rig.look()).killed == []
    rig.now += timedelta(seconds=2)
    assert [run.model_version for run in (await rig.look()).killed] == ["m1"]
    await rig.look()
    assert [(run.model_version, run.status) for run in rig.heard.ends] == [("m1", TrainingStatus.FAILED)]
    assert rig.shown("run_state", state="failed") == 1
    assert rig.shown("statuses_waiting", destination="mlflow") == 1


async def test_that_no_good_model_comes_is_told_once_a_spell(rig: Rig) -> None:
    rig.start("m1")
    rig.end("m1", TrainingStatus.SUCCEEDED)
    for hours in (35, 2, 24):
        rig.now += timedelta(hours=hours)
        await rig.look()
    assert rig.heard.alerts == [timedelta(hours=37)]
    rig.start("m2")
    rig.end("m2", TrainingStatus.SUCCEEDED)
    await rig.look()
    rig.now += timedelta(hours=40)
    await rig.look()
    assert rig.heard.alerts == [timedelta(hours=37), timedelta(hours=40)]


async def test_a_database_that_cannot_be_read_is_shown_by_the_age_of_what_is_known(tmp_path: Path) -> None:
    empty = Rig(f"sqlite:///{tmp_path / 'empty.db'}", tmp_path)
    assert await empty.watch.look() is None
    assert math.isnan(empty.shown("register_age_seconds"))
    assert empty.heard.alerts == [], "what is not known is no alert"
    empty.database.close()
