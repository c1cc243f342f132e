"""The register of trainings: what runs, what came of it."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import sqlalchemy as sa

from storage import training_outbox
from storage.tables import model_trainings

_COLUMNS = model_trainings.c


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
        job_name: What it is part of; of each job one training runs at a time.
    """

    model_version: str
    algorithm: str
    weights: Mapping[str, float]
    thresholds: Mapping[str, float]
    started_at: datetime
    job_name: str


@dataclass(frozen=True, slots=True)
class TrainingEnd:
    """What came of a training; None where it did not come so far.

    Args:
        status: How it ended.
        finished_at: When.
        error: Why it failed or was refused.
        counts: How much it was trained on, such as `interactions`, `users`, `videos`.
        metrics: Everything measured; the named ones get columns of their own.
        params: How it was trained.
        durations_s: Length of each step, seconds.
    """

    status: TrainingStatus
    finished_at: datetime
    error: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, float | int | str] = field(default_factory=dict)
    durations_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One row of the register; its times are UTC.

    Args:
        model_version: Names the training, and the model that comes of it.
        job_name: What it is part of.
        algorithm: Such as "lightfm-warp".
        status: How far it came.
        error: Why it failed or was refused.
        started_at: When it began.
        heartbeat_at: When it was seen alive last.
        finished_at: When it ended; of one that was killed: when it was seen alive last.
        counts: How much it was trained on.
        metrics: Everything measured.
        params: How it was trained.
        durations_s: Length of each step, seconds.
    """

    model_version: str
    job_name: str
    algorithm: str
    status: TrainingStatus
    error: str | None
    started_at: datetime
    heartbeat_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, int]
    metrics: Mapping[str, float]
    params: Mapping[str, float | int | str]
    durations_s: Mapping[str, float]

    @property
    def elapsed_s(self) -> float | None:
        """From its beginning to its end, seconds; None while it runs."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()

    @classmethod
    def of_row(cls, row: sa.Row[Any]) -> Self:
        """Reads a row that `_rows` selected."""
        given: dict[str, Any] = dict(zip(row._fields, row, strict=True))
        absent: dict[str, Any] = {name: {} for name in _JSON if given[name] is None}
        return cls(**{**given, **absent, "status": TrainingStatus(row.status)})


@dataclass(frozen=True, slots=True)
class Register:
    """What the register says as a whole.

    Args:
        last: The training that began last; None: none ever did.
        last_success_at: When one succeeded last; None: none ever did.
    """

    last: RunStatus | None
    last_success_at: datetime | None


class StillRunningError(Exception):
    """Another training of the job runs; wait for it, or for its heart to be silent for long enough."""


# Column of the table by metric.
_METRIC_COLUMNS = {
    "accuracy": "hit_rate_at_10",
    "precision": "precision_at_10",
    "recall": "recall_at_50",
    "ndcg": "ndcg_at_10",
    "coverage": "coverage_at_10",
}


_JSON = ("counts", "metrics", "params", "durations_s")

# A row of a trainer before there were heartbeats has none.
_HEARTBEAT = sa.func.coalesce(_COLUMNS.heartbeat_at, _COLUMNS.started_at, type_=_COLUMNS.started_at.type)


def register(connection: sa.Connection, start: TrainingStart) -> None:
    """Writes that a training began.

    Raises:
        StillRunningError: When another one of the job did not end.
    """
    try:
        connection.execute(
            sa.insert(model_trainings).values(
                model_version=start.model_version,
                job_name=start.job_name,
                algorithm=start.algorithm,
                weights=dict(start.weights),
                thresholds=dict(start.thresholds),
                status=TrainingStatus.STARTED.value,
                started_at=start.started_at,
                heartbeat_at=start.started_at,
            )
        )
    except sa.exc.IntegrityError as error:
        raise StillRunningError(f"another training of {start.job_name} is running, by the register") from error


def beat(connection: sa.Connection, model_version: str, now: datetime) -> None:
    """Writes that a training still runs."""
    running = sa.update(model_trainings).where(_COLUMNS.model_version == model_version, _is_running())
    connection.execute(running.values(heartbeat_at=now))


def finish(connection: sa.Connection, model_version: str, end: TrainingEnd, destinations: Collection[str] = ()) -> None:
    """Writes what came of a training, and that these destinations are to be told of it."""
    measured = {name: value for name, value in end.metrics.items() if math.isfinite(value)}  # JSON has nothing else
    connection.execute(
        sa.update(model_trainings)
        .where(_COLUMNS.model_version == model_version)
        .values(
            status=end.status.value,
            finished_at=end.finished_at,
            error=end.error,
            training_data_size=end.counts.get("interactions"),
            counts=dict(end.counts),
            metrics=measured,
            params=dict(end.params),
            durations_s=dict(end.durations_s),
            **{column: measured.get(metric) for column, metric in _METRIC_COLUMNS.items()},
        )
    )
    training_outbox.queue(connection, model_version, destinations, end.finished_at)


def fail_dead(
    connection: sa.Connection, silent_since: datetime, known: str | None, destinations: Collection[str] = ()
) -> list[RunStatus]:
    """Marks trainings as failed that were killed, and that these destinations are to be told of them.

    Args:
        connection: To the database.
        silent_since: Whose heart did not beat since then is dead, UTC.
        known: A training of which it is known, however short ago its heart beat.
        destinations: Who is to be told.

    Returns:
        What was marked.
    """
    dead = sa.or_(silent_since > _HEARTBEAT, _COLUMNS.model_version == known)
    killed = connection.execute(_rows().where(_is_running(), dead)).all()
    for row in killed:
        error = f"killed: no heartbeat since {row.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC"
        end = TrainingEnd(TrainingStatus.FAILED, row.heartbeat_at, error)
        finish(connection, row.model_version, end, destinations)
    return [found for row in killed if (found := status_of(connection, row.model_version))]


def status_of(connection: sa.Connection, model_version: str) -> RunStatus | None:
    """Reads one training; None when there is no such one."""
    row = connection.execute(_rows().where(_COLUMNS.model_version == model_version)).one_or_none()
    return None if row is None else RunStatus.of_row(row)


def read_register(connection: sa.Connection, job_name: str) -> Register:
    """Reads how the trainings of a job go."""
    of_job = _COLUMNS.job_name == job_name
    last = connection.execute(_rows().where(of_job).order_by(_COLUMNS.started_at.desc()).limit(1)).one_or_none()
    succeeded = sa.select(sa.func.max(_COLUMNS.finished_at, type_=_COLUMNS.started_at.type)).where(
        of_job, _COLUMNS.status == TrainingStatus.SUCCEEDED.value
    )
    return Register(None if last is None else RunStatus.of_row(last), connection.scalar(succeeded))


def begun_since(connection: sa.Connection, job_name: str, time: datetime) -> int:
    """Returns how many trainings of a job have begun since a time, UTC."""
    begun = sa.select(sa.func.count()).where(_COLUMNS.job_name == job_name, _COLUMNS.started_at >= time)
    return connection.scalar(begun) or 0


def newest(connection: sa.Connection, limit: int) -> list[RunStatus]:
    """Reads the trainings of all jobs that began last, the newest first."""
    wanted = _rows().order_by(_COLUMNS.started_at.desc()).limit(limit)
    return [RunStatus.of_row(row) for row in connection.execute(wanted)]


def _rows() -> sa.Select[Any]:
    names = RunStatus.__dataclass_fields__
    return sa.select(*(_HEARTBEAT.label(name) if name == "heartbeat_at" else _COLUMNS[name] for name in names))


def _is_running() -> sa.ColumnElement[bool]:
    return _COLUMNS.status == TrainingStatus.STARTED.value
