"""The register of trainings: what ran, what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from storage.tables import model_trainings

# Said of a training that was never finished and is not running.
ABANDONED_TEXT = "the process ended before the training did"


class TrainingStatus(StrEnum):
    """How far a training came. `refused`: the gate did not let the model pass."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrainingStart:
    """A training that begins.

    Args:
        model_version: Name of the model to be.
        algorithm: Such as "lightfm-warp".
        weights: Weight of each interaction type.
        thresholds: Bounds of the gate.
        started_at: When.
    """

    model_version: str
    algorithm: str
    weights: Mapping[str, float]
    thresholds: Mapping[str, float]
    started_at: datetime


@dataclass(frozen=True, slots=True)
class TrainingEnd:
    """What came of a training; None where it did not come so far.

    Args:
        status: How it ended.
        finished_at: When.
        error: Why it failed or was refused.
        training_data_size: Interactions it was trained on.
        metrics: Everything measured; the named ones get columns of their own.
    """

    status: TrainingStatus
    finished_at: datetime
    error: str | None = None
    training_data_size: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


# Column of the table by metric.
_METRIC_COLUMNS = {
    "accuracy": "hit_rate_at_10",
    "precision": "precision_at_10",
    "recall": "recall_at_50",
    "ndcg": "ndcg_at_10",
    "coverage": "coverage_at_10",
}


def register(connection: sa.Connection, start: TrainingStart) -> None:
    """Writes that a training began."""
    connection.execute(
        sa.insert(model_trainings).values(
            model_version=start.model_version,
            algorithm=start.algorithm,
            weights=dict(start.weights),
            thresholds=dict(start.thresholds),
            status=TrainingStatus.STARTED.value,
            started_at=start.started_at,
        )
    )


def finish(connection: sa.Connection, model_version: str, end: TrainingEnd) -> None:
    """Writes what came of a training."""
    connection.execute(
        sa.update(model_trainings)
        .where(model_trainings.c.model_version == model_version)
        .values(
            status=end.status.value,
            finished_at=end.finished_at,
            error=end.error,
            training_data_size=end.training_data_size,
            metrics=dict(end.metrics),
            **{column: end.metrics.get(metric) for column, metric in _METRIC_COLUMNS.items()},
        )
    )


def fail_abandoned(connection: sa.Connection, now: datetime) -> int:
    """Marks trainings that never ended as failed; call it only while no other can run. Returns how many."""
    result = connection.execute(
        sa.update(model_trainings)
        .where(model_trainings.c.status == TrainingStatus.STARTED.value)
        .values(status=TrainingStatus.FAILED.value, finished_at=now, error=ABANDONED_TEXT)
    )
    return result.rowcount


def statuses(connection: sa.Connection) -> dict[str, TrainingStatus]:
    """Returns the status of every training by model version, oldest first."""
    statement = sa.select(model_trainings.c.model_version, model_trainings.c.status).order_by(
        model_trainings.c.started_at
    )
    return {version: TrainingStatus(status) for version, status in connection.execute(statement)}
