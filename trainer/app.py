"""Puts the trainer together: the job itself, and the process that runs it every night."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry
from rich.console import Console
from starlette.routing import BaseRoute

from runtime.grpc_server import GrpcService
from trainer.adapters.bundle_store import BundleStore
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.adapters.export_parquet import ParquetExport
from trainer.adapters.progress import BarProgress, LogProgress
from trainer.adapters.report_store import ReportStore
from trainer.adapters.run_subprocess import count_popularity, run_training
from trainer.adapters.schedule_apscheduler import NightlySchedule
from trainer.fitters import fitter_of
from trainer.metrics import TrainerMetrics
from trainer.popularity import PopularityCount
from trainer.ports import Progress
from trainer.service import Training
from trainer.settings import TrainerSettings


@contextmanager
def training(settings: TrainerSettings, progress: Progress) -> Iterator[Training]:
    """Opens everything that a training needs, and closes it at the end."""
    database = TrainingDatabase(settings.effective_database_url)
    try:
        yield Training(
            settings=settings,
            database=database,
            export=ParquetExport(settings.export_dir),
            store=bundle_store(settings),
            reports=ReportStore(settings.reports_dir),
            fitter=fitter_of(settings.trainer_algorithm, settings.combined),
            progress=progress,
            now=lambda: datetime.now(UTC),
            cpus=os.cpu_count() or 1,
        )
    finally:
        database.close()


@contextmanager
def popularity_count(settings: TrainerSettings) -> Iterator[PopularityCount]:
    """Opens what a count of popularity needs, and closes it at the end."""
    database = TrainingDatabase(settings.effective_database_url)
    try:
        yield PopularityCount(
            database, bundle_store(settings), settings.view_rules, timedelta(days=settings.trainer_recent_days)
        )
    finally:
        database.close()


def bundle_store(settings: TrainerSettings) -> BundleStore:
    """Opens the published models."""
    return BundleStore(settings.models_dir, settings.signing_key_path)


def progress_for(console: Console) -> Progress:
    """Returns a bar for a person and log lines for everything else."""
    return BarProgress(console) if sys.stdout.isatty() else LogProgress()


class SchedulerApp:
    """The process that trains every night.

    Args:
        settings: All settings of the trainer.
    """

    grpc_services: Sequence[GrpcService] = ()
    http_routes: Sequence[BaseRoute] = ()

    def __init__(self, settings: TrainerSettings) -> None:
        self.registry = CollectorRegistry()
        self._metrics = TrainerMetrics(self.registry, settings.models_dir)
        self._schedule = NightlySchedule(
            settings.trainer_schedule_hour, settings.trainer_schedule_minute, self._train, self._metrics.next_run
        )
        if settings.trainer_popularity_minutes:
            self._schedule.add_every(settings.trainer_popularity_minutes, count_popularity)

    async def start(self) -> None:
        """Starts the clock."""
        self._schedule.start()

    async def stop(self) -> None:
        """Stops the clock; a training that runs is ended and starts anew next time."""
        await self._schedule.stop()

    def not_ready(self) -> str | None:
        """Says why no training would start tonight."""
        return None if self._schedule.is_running else "the schedule is not running"

    async def _train(self) -> None:
        self._metrics.run_ended(await run_training())


def build(settings: TrainerSettings) -> SchedulerApp:
    """Builds the scheduler process."""
    return SchedulerApp(settings)
