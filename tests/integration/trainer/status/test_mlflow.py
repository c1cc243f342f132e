"""Statuses in MLflow's own store, read back with MLflow's own client."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from runtime.settings import load
from storage.trainings import RunStatus, TrainingStatus
from trainer.settings import TrainerSettings
from trainer.status.composition import destinations_of
from trainer.status.ports import DestinationError, StatusDestination

# MLflow's store uses what SQLAlchemy 2.1 would rather see gone.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TWO = datetime(2026, 1, 1, 2, tzinfo=UTC)
STATUS = RunStatus(
    "m1",
    "feed_lightfm_retrain",
    "lightfm-warp",
    TrainingStatus.SUCCEEDED,
    None,
    TWO,
    TWO + timedelta(seconds=30),
    TWO + timedelta(seconds=31.5),
    {"interactions": 7},
    {"ndcg_at_10": 0.25},
    {"epochs": 5},
    {"fit on past": 0.5},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which m1 left a report and a bundle."""
    folder = tmp_path_factory.mktemp("data")
    for file in ("reports/m1/report.html", "models/m1/manifest.json", "models/m1/arrays.npz"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    return folder


@pytest.fixture(scope="module")
def destination(folder: Path) -> StatusDestination:
    """MLflow as the settings have it unless somebody changes them; its store takes seconds to make."""
    return destinations_of(load(TrainerSettings, {"FEED_DATA_DIR": str(folder)}))["mlflow"]()


@pytest.fixture
def client(folder: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow/mlflow.db")


def runs(client: mlflow.MlflowClient, version: str) -> list[Run]:
    experiment = client.get_experiment_by_name("feed_lightfm_retrain")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], f"tags.`feed.run_id` = '{version}'"))


def test_a_run_is_one_run_however_often_it_is_told(
    destination: StatusDestination, client: mlflow.MlflowClient, folder: Path
) -> None:
    for _ in range(2):
        destination.tell(STATUS)
    (run,) = runs(client, "m1")
    assert (run.info.run_name, run.info.status) == ("feed_lightfm_retrain", "FINISHED")
    assert run.info.end_time - run.info.start_time == 31_500
    assert run.data.params == {"epochs": "5", "algorithm": "lightfm-warp"}
    assert run.data.metrics == {"ndcg_at_10": 0.25, "interactions": 7.0, "step_fit_on_past_s": 0.5, "elapsed_s": 31.5}
    assert len(client.get_metric_history(run.info.run_id, "ndcg_at_10")) == 1
    assert run.data.tags["feed.state"] == "succeeded"
    assert run.data.tags["feed.bundle"] == str(folder / "models" / "m1")
    assert sorted(file.path for file in client.list_artifacts(run.info.run_id)) == ["manifest.json", "report.html"]
    assert run.info.artifact_uri.startswith((folder / "mlflow" / "artifacts").as_uri())


def test_a_run_that_left_nothing_has_a_reason_and_one_that_ended_after_all_its_end(
    destination: StatusDestination, client: mlflow.MlflowClient
) -> None:
    killed = replace(STATUS, model_version="m2", status=TrainingStatus.FAILED, error="killed", metrics={}, params={})
    destination.tell(killed)
    (run,) = runs(client, "m2")
    assert (run.info.status, run.data.tags["feed.error"], run.data.tags["feed.bundle"]) == ("FAILED", "killed", "")
    assert client.list_artifacts(run.info.run_id) == []
    destination.tell(replace(STATUS, model_version="m2"))
    (run,) = runs(client, "m2")
    assert (run.info.status, run.data.tags["feed.error"]) == ("FINISHED", "")


def test_a_server_that_is_away_is_told_later(folder: Path) -> None:
    environ = {"FEED_DATA_DIR": str(folder), "FEED_TRAINER_MLFLOW_URI": "http://127.0.0.1:1"}
    away = destinations_of(load(TrainerSettings, environ))["mlflow"]()
    with pytest.raises(DestinationError, match=r"127\.0\.0\.1"):
        away.tell(STATUS)
