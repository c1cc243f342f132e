"""Metrics of the scheduler: how old the model is, how the runs end."""

import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from runtime.bundle_files import LIVE_FILE

# Said while no model serves: older than any alert's bound.
NO_MODEL_AGE_S: Final = float("inf")


class RunOutcome(StrEnum):
    """How a run ended; `refused`: the gate did not let the model pass."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One finished run and how long it took, seconds."""

    outcome: RunOutcome
    elapsed_s: float


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
        self._runs = Counter("feed_trainer_runs", "Runs ended.", ("outcome",), registry=registry)
        for outcome in RunOutcome:
            self._runs.labels(outcome.value)
        self._duration = Gauge("feed_trainer_run_duration_seconds", "Length of the last run.", registry=registry)
        self._ended = Gauge("feed_trainer_run_end_timestamp_seconds", "When the last run ended.", registry=registry)
        self._next = Gauge("feed_trainer_next_run_timestamp_seconds", "When the next run starts.", registry=registry)

    def run_ended(self, record: RunRecord) -> None:
        """Counts one run."""
        self._runs.labels(record.outcome.value).inc()
        self._duration.set(record.elapsed_s)
        self._ended.set(time.time())

    def next_run(self, when: datetime) -> None:
        """Shows when the next run starts."""
        self._next.set(when.timestamp())

    def _age_s(self) -> float:
        try:
            return max(0.0, time.time() - self._live.stat().st_mtime)
        except FileNotFoundError:
            return NO_MODEL_AGE_S
