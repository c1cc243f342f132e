"""Metrics of the scheduler: how old the model is, how the runs end."""

import math
import time
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from runtime.models.bundle_files import LIVE_FILE
from storage.training_outbox import Backlog
from storage.trainings import Register, RunStatus, TrainingStatus

# Said while no model serves: older than any alert's bound.
NO_MODEL_AGE_S: Final = float("inf")


class RunOutcome(StrEnum):
    """How a run ended; `refused`: the gate did not let the model pass."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"


class TrainerMetrics:
    """The scheduler's metrics.

    Args:
        registry: Where they are shown.
        models_dir: Where bundles live, for the age of the one that serves.
    """

    def __init__(self, registry: CollectorRegistry, models_dir: Path) -> None:
        self._live = models_dir / LIVE_FILE
        age = Gauge("feed_trainer_model_age_seconds", "Time since a model was last promoted.", registry=registry)
        age.set_function(self._age_s)
        self._runs = Counter("feed_trainer_runs", "Runs of the scheduler ended.", ("outcome",), registry=registry)
        for outcome in RunOutcome:
            self._runs.labels(outcome.value)
        self._register = RegisterMetrics(registry)
        self._next = Gauge("feed_trainer_next_run_timestamp_seconds", "When the next run starts.", registry=registry)

    def run_ended(self, outcome: RunOutcome) -> None:
        """Counts one run that the scheduler started."""
        self._runs.labels(outcome.value).inc()

    def saw(self, register: Register, backlogs: Mapping[str, Backlog | None]) -> None:
        """Shows what the register says, and what waits to be told by destination."""
        self._register.saw(register, backlogs)

    def next_run(self, when: datetime) -> None:
        """Shows when the next run starts."""
        self._next.set(when.timestamp())

    def _age_s(self) -> float:
        try:
            return max(0.0, time.time() - self._live.stat().st_mtime)
        except FileNotFoundError:
            return NO_MODEL_AGE_S


class RegisterMetrics:
    """What the register says of runs, whoever started them; it survives restarts of the scheduler.

    Args:
        registry: Where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._read_s = math.nan
        self._success_s = math.nan
        self._beat_s = math.nan
        self._shown: RunStatus | None = None
        read = Gauge("feed_trainer_register_age_seconds", "Time since the register was read.", registry=registry)
        read.set_function(lambda: time.time() - self._read_s)
        good = Gauge("feed_trainer_good_model_age_seconds", "Time since a run succeeded.", registry=registry)
        good.set_function(lambda: time.time() - self._success_s)
        beat = Gauge("feed_trainer_heartbeat_age_seconds", "Time since the run that runs lived.", registry=registry)
        beat.set_function(lambda: time.time() - self._beat_s)
        self._state = Gauge("feed_trainer_run_state", "1: how far the last run came.", ("state",), registry=registry)
        self._started = Gauge("feed_trainer_run_start_timestamp_seconds", "When it began.", registry=registry)
        self._ended = Gauge("feed_trainer_run_end_timestamp_seconds", "When it ended.", registry=registry)
        self._duration = Gauge("feed_trainer_run_duration_seconds", "Length of it.", registry=registry)
        self._steps = Gauge("feed_trainer_step_duration_seconds", "Length of its steps.", ("step",), registry=registry)
        self._counts = Gauge("feed_trainer_run_data", "How much it learned from.", ("of",), registry=registry)
        self._measured = Gauge("feed_trainer_run_metric", "What it measured.", ("metric",), registry=registry)
        self._waiting = Gauge(
            "feed_trainer_statuses_waiting", "Runs of which a destination is to be told.", ("destination",),
            registry=registry,
        )  # fmt: skip

    def saw(self, register: Register, backlogs: Mapping[str, Backlog | None]) -> None:
        """Shows it; of a run that has not ended what is known of the one before goes on being shown."""
        self._read_s = time.time()
        self._success_s = register.last_success_at.timestamp() if register.last_success_at else -math.inf
        for destination, backlog in backlogs.items():
            self._waiting.labels(destination).set(backlog.waiting if backlog else 0)
        if register.last:
            self._saw_run(register.last)

    def _saw_run(self, run: RunStatus) -> None:
        for status in TrainingStatus:
            self._state.labels(status.value).set(run.status is status)
        self._started.set(run.started_at.timestamp())
        self._beat_s = run.heartbeat_at.timestamp() if run.finished_at is None else math.nan
        if run.finished_at is None or run.elapsed_s is None or run == self._shown:
            return
        self._shown = run
        self._ended.set(run.finished_at.timestamp())
        self._duration.set(run.elapsed_s)
        for gauge, values in (
            (self._steps, run.durations_s),
            (self._counts, run.counts),
            (self._measured, run.metrics),
        ):
            gauge.clear()
            for name, value in values.items():
                gauge.labels(name).set(value)
