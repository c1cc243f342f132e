"""What came of runs, in MLflow: parameters, metrics, the report, and which bundle is the model."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from runtime.models.bundle_files import MANIFEST_FILE
from storage.trainings import RunStatus, TrainingStatus
from trainer.adapters.report_store import REPORT_FILE
from trainer.status.ports import DestinationError

# Before it is imported: it would tell its makers of each use. And the outbox tries again, so that the library need not
# for minutes.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}.items():
    os.environ.setdefault(_name, _value)

import mlflow  # noqa: E402
from mlflow.entities import Metric, Param, Run, RunTag  # noqa: E402

# Tag that names a run of ours; by it a run that was told already is found again.
RUN_ID_TAG: Final = "feed.run_id"

# What MLflow takes of a value, characters.
_MOST_TAG_CHARS: Final = 5_000
_MOST_PARAM_CHARS: Final = 6_000

# A refused model is a run that did what it should.
_STATES: Final = {
    TrainingStatus.STARTED: "RUNNING",
    TrainingStatus.SUCCEEDED: "FINISHED",
    TrainingStatus.REFUSED: "FINISHED",
    TrainingStatus.FAILED: "FAILED",
}


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where runs leave what they made.

    Args:
        models_dir: Of the bundles.
        reports_dir: Of the reports.
        artifacts_dir: Where artifacts are copied to; None: where the MLflow server keeps them.
    """

    models_dir: Path
    reports_dir: Path
    artifacts_dir: Path | None


class MlflowStatuses:
    """A StatusDestination: a run of MLflow for each of ours. The model stays in its signed bundle, which a tag names.

    Args:
        uri: Of MLflow's store or server.
        files: Where runs leave what they made.
    """

    def __init__(self, uri: str, files: RunFiles) -> None:
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)
        self._files = files
        with _our_errors():
            if uri.startswith("sqlite:///"):
                Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            self._client = mlflow.MlflowClient(tracking_uri=uri)

    def tell(self, status: RunStatus) -> None:
        """Writes a run, or brings the one that is there up to date: the same values at the same time are one."""
        with _our_errors():
            run_id = self._run_of(status).info.run_id
            ended = _ms(status.finished_at or status.heartbeat_at)
            self._client.log_batch(
                run_id,
                [Metric(name, value, ended, 0) for name, value in _metrics(status).items()],
                [Param(name, str(value)[:_MOST_PARAM_CHARS]) for name, value in _params(status).items()],
                [RunTag(name, value[:_MOST_TAG_CHARS]) for name, value in self._tags(status).items()],
            )
            for path in self._artifacts(status):
                self._client.log_artifact(run_id, str(path))
            self._client.set_terminated(run_id, _STATES[status.status], ended)

    def close(self) -> None:
        """Does nothing: each request stands for itself."""

    def _run_of(self, status: RunStatus) -> Run:
        experiment = self._client.get_experiment_by_name(status.job_name)
        experiment_id = experiment.experiment_id if experiment else self._create_experiment(status.job_name)
        known = self._client.search_runs([experiment_id], f"tags.`{RUN_ID_TAG}` = '{status.model_version}'")
        if known:
            return known[0]
        tags = {RUN_ID_TAG: status.model_version}
        return self._client.create_run(experiment_id, _ms(status.started_at), tags, run_name=status.job_name)

    def _create_experiment(self, name: str) -> str:
        folder = self._files.artifacts_dir
        created: str = self._client.create_experiment(name, folder.absolute().as_uri() if folder else None)
        return created

    def _tags(self, status: RunStatus) -> dict[str, str]:
        bundle = self._bundle(status)
        return {
            "feed.state": status.status.value,
            "feed.error": status.error or "",
            "feed.algorithm": status.algorithm,
            "feed.bundle": str(bundle.absolute()) if bundle.is_dir() else "",
        }

    def _artifacts(self, status: RunStatus) -> list[Path]:
        made = (
            self._files.reports_dir / status.model_version / REPORT_FILE,
            self._bundle(status) / MANIFEST_FILE,
        )
        return [path for path in made if path.is_file()]

    def _bundle(self, status: RunStatus) -> Path:
        return self._files.models_dir / status.model_version


def _metrics(status: RunStatus) -> dict[str, float]:
    steps = {f"step_{name.replace(' ', '_')}_s": seconds for name, seconds in status.durations_s.items()}
    return {**status.metrics, **status.counts, **steps, "elapsed_s": status.elapsed_s or 0.0}


def _params(status: RunStatus) -> dict[str, float | int | str]:
    return {**status.params, "algorithm": status.algorithm}


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except (mlflow.MlflowException, OSError) as error:
        raise DestinationError(f"MLflow: {error}") from error
