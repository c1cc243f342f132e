"""Puts the trainer together: the job itself, and the process that runs it every night."""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from rich.console import Console
from starlette.routing import BaseRoute

from runtime.servers.grpc_server import GrpcService
from runtime.traces.opening import open_traces
from storage.audit import Actor, Door
from storage.database import sync_engine, upgrade
from trainer.adapters.bundle_store import BundleStore
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.adapters.export_parquet import ParquetExport
from trainer.adapters.progress import BarProgress, LogProgress
from trainer.adapters.report_store import ReportStore
from trainer.adapters.run_subprocess import count_popularity, prune, run_training, tell
from trainer.adapters.schedule_apscheduler import NightlySchedule
from trainer.changes import ModelChanges
from trainer.domain.runs import JOB_NAME, may_begin_again, planned_before, was_missed
from trainer.fitters import fitter_of
from trainer.metrics import TrainerMetrics
from trainer.popularity import PopularityCount
from trainer.ports import Progress
from trainer.service import Training
from trainer.settings import TrainerSettings
from trainer.status.composition import destinations_of, telemetry_of
from trainer.status.recorder import Recorder
from trainer.status.telling import Telling
from trainer.status.watch import RunWatch, Seen

_LOG = structlog.get_logger(__name__)

# How often the scheduler looks how runs go, minutes.
_LOOK_MINUTES: Final = 0.5


@contextmanager
def training(settings: TrainerSettings, progress: Progress) -> Iterator[Training]:
    """Opens everything that a training needs, and closes it at the end."""
    database = TrainingDatabase(settings.effective_database_url)
    telemetry = telemetry_of(settings)
    try:
        yield Training(
            settings=settings,
            database=database,
            export=ParquetExport(settings.export_dir),
            store=bundle_store(settings),
            reports=ReportStore(settings.reports_dir),
            recorder=Recorder(database, telemetry, destinations_of(settings), settings.data_dir / "trainer.run", _now),
            fitter=fitter_of(settings.trainer_algorithm, settings.combined),
            progress=progress,
            now=_now,
            cpus=os.cpu_count() or 1,
        )
    finally:
        telemetry.close()
        database.close()


@contextmanager
def telling(settings: TrainerSettings) -> Iterator[Telling]:
    """Opens what is needed to tell others what came of runs, and closes it at the end."""
    database = TrainingDatabase(settings.effective_database_url)
    try:
        yield Telling(database, destinations_of(settings), settings.data_dir / "telling.lock", _now)
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


@contextmanager
def model_changes(settings: TrainerSettings, name: str, *, is_kept: bool) -> Iterator[ModelChanges]:
    """Opens what is needed to change by hand which model serves, and closes it at the end.

    Args:
        settings: All settings of the trainer.
        name: Who changes it.
        is_kept: Whether it is kept in the audit trail, without which it is not done.

    Raises:
        UnreachableDatabaseError: It is to be kept, and cannot be.
    """
    store, actor = bundle_store(settings), Actor(name, Door.CLI)
    if not is_kept:
        yield ModelChanges(store, None, actor, _now)
        return
    upgrade(settings.effective_database_url)
    engine = sync_engine(settings.effective_database_url)
    try:
        yield ModelChanges(store, engine, actor, _now)
    finally:
        engine.dispose()


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
        self._settings = settings
        self.traces = open_traces(settings, self.registry, "feed-trainer")
        self._metrics = TrainerMetrics(self.registry, settings.models_dir)
        self._schedule = NightlySchedule(
            settings.trainer_schedule_hour, settings.trainer_schedule_minute, self._train, self._metrics.next_run
        )
        self._database = TrainingDatabase(settings.effective_database_url)
        self._telemetry = telemetry_of(settings)
        self._is_training = False
        self._watch = RunWatch(self._database, self._metrics, self._telemetry, destinations_of(settings), _now)
        self._schedule.add_every(_LOOK_MINUTES, self._look)
        if settings.trainer_popularity_minutes:
            self._schedule.add_every(settings.trainer_popularity_minutes, count_popularity)

    async def start(self) -> None:
        """Starts the clock; a night that was slept through is made up for."""
        started = _now()
        self._schedule.start()
        seen = await self._watch.look()
        if seen is None or not self._settings.trainer_schedule_enabled:
            return
        if seen.register.last and was_missed(started, seen.register.last.started_at, *self._night):
            _LOG.info("trainer.missed_run_begins", last_run=seen.register.last.started_at.isoformat())
            self._schedule.run_now()
        await self._begin_again(seen)

    async def stop(self) -> None:
        """Stops the clock; a training that runs is ended, and begins again as one that was killed."""
        await self._schedule.stop()
        await asyncio.to_thread(self._telemetry.close)
        self._database.close()

    def not_ready(self) -> str | None:
        """Says why no training would start tonight."""
        return None if self._schedule.is_running else "the schedule is not running"

    async def _train(self) -> None:
        if not self._settings.trainer_schedule_enabled:
            return  # the clock only says when
        self._is_training = True
        try:
            self._metrics.run_ended(await run_training())
            await prune()
        finally:
            self._is_training = False

    async def _look(self) -> None:
        seen = await self._watch.look()
        if seen and self._settings.trainer_schedule_enabled:
            await self._begin_again(seen)
        if seen and seen.is_telling_due and not self._is_training:  # a run tells by itself at its end
            await tell()

    async def _begin_again(self, seen: Seen) -> None:
        begun = partial(self._database.begun_since, JOB_NAME, planned_before(seen.time, *self._night))
        for run in seen.killed:
            if may_begin_again(seen.time, run.started_at, await asyncio.to_thread(begun), *self._night):
                _LOG.info("trainer.killed_run_begins_again", killed=run.model_version)
                self._schedule.run_now()

    @property
    def _night(self) -> tuple[int, int]:
        return self._settings.trainer_schedule_hour, self._settings.trainer_schedule_minute


def _now() -> datetime:
    return datetime.now(UTC)


def build(settings: TrainerSettings) -> SchedulerApp:
    """Builds the scheduler process."""
    return SchedulerApp(settings)
