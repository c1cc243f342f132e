"""What the scheduler does between the nights: it looks how runs go, whoever started them."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog

from storage.training_outbox import Backlog
from storage.trainings import Register, RunStatus
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.domain.runs import JOB_NAME, SILENT, lacks_good_model
from trainer.metrics import TrainerMetrics
from trainer.status.ports import RunTelemetry

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the register said at a time.

    Args:
        time: When, UTC.
        register: How runs go.
        backlogs: What waits to be told, by destination.
        killed: Runs that turned out to be dead.
    """

    time: datetime
    register: Register
    backlogs: dict[str, Backlog]
    killed: list[RunStatus]

    @property
    def is_telling_due(self) -> bool:
        """Whether anybody is to be told something now."""
        return any(backlog.next_attempt_at <= self.time for backlog in self.backlogs.values())


class RunWatch:
    """Looks into the register; marks dead runs as failed, shows what it sees, says when no good model comes.

    Args:
        database: Where the register is.
        metrics: Shows it.
        telemetry: Hears what nobody else tells.
        destinations: Who is to be told what came of runs.
        now: Gives the time, UTC.
    """

    def __init__(
        self,
        database: TrainingDatabase,
        metrics: TrainerMetrics,
        telemetry: RunTelemetry,
        destinations: Collection[str],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._telemetry = telemetry
        self._destinations = destinations
        self._now = now
        self._lacked_good_model = False
        self._could_read = True

    async def look(self) -> Seen | None:
        """Looks once; None when the database does not answer, or has no tables yet."""
        try:
            seen = await asyncio.to_thread(self._look)
        except sa.exc.SQLAlchemyError as error:
            if self._could_read:
                _LOG.warning("trainer.register_not_read", error=str(error))
            self._could_read = False
            return None
        self._could_read = True
        self._metrics.saw(seen.register, {name: seen.backlogs.get(name) for name in self._destinations})
        for run in seen.killed:
            _LOG.error("trainer.run_killed", model_version=run.model_version, error=run.error)
            self._telemetry.ended(run)
        self._judge_age(seen.time, seen.register.last_success_at)
        return seen

    def _look(self) -> Seen:
        now = self._now()
        register, killed = self._database.read_register(JOB_NAME), []
        if register.last and register.last.finished_at is None and register.last.heartbeat_at < now - SILENT:
            killed = self._database.fail_dead(now - SILENT, None, self._destinations)
            register = self._database.read_register(JOB_NAME)
        backlogs = self._database.backlogs()
        known = {name: backlog for name, backlog in backlogs.items() if name in self._destinations}
        return Seen(now, register, known, killed)

    def _judge_age(self, now: datetime, last_success: datetime | None) -> None:
        age = now - last_success if last_success else None
        if age is not None:
            self._telemetry.good_model_age(age)
        lacks = lacks_good_model(now, last_success)
        if lacks and not self._lacked_good_model:
            _LOG.error("trainer.no_good_model", since_s=age.total_seconds() if age else None)
            self._telemetry.lacks_good_model(age)
        self._lacked_good_model = lacks
