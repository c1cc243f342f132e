"""Keeps the register true while a run goes on: it began, it lives, it ended."""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
import structlog

from storage.trainings import TrainingEnd, TrainingStart
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.domain.runs import BEAT_S, SILENT
from trainer.status.ports import RunTelemetry

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes the status of the run of this process.

    Args:
        database: Where the register is.
        telemetry: Hears of it at once.
        destinations: Who is to be told what came of it, in their own time.
        mark: A file that names the run while it goes on. Who finds it, holding the lock on runs, knows it dead.
        now: Gives the time, UTC.
        beat_s: How often it is written that the run lives, seconds.
    """

    database: TrainingDatabase
    telemetry: RunTelemetry
    destinations: Collection[str]
    mark: Path
    now: Callable[[], datetime]
    beat_s: float = BEAT_S

    def begin(self, start: TrainingStart) -> None:
        """Writes that a run began; those that were killed are marked as failed. Only under the lock on runs.

        Raises:
            StillRunningError: While another one lives, on whatever machine.
        """
        killed = self.database.fail_dead(start.started_at - SILENT, self._marked(), self.destinations)
        for run in killed:
            _LOG.error("trainer.run_killed", model_version=run.model_version, error=run.error)
            self.telemetry.ended(run)
        self.database.register(start)
        self.mark.write_text(start.model_version)

    @contextmanager
    def beating(self, model_version: str) -> Iterator[None]:
        """Goes on writing that the run lives, from a thread of its own."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(model_version, ended), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def end(self, model_version: str, end: TrainingEnd) -> None:
        """Writes what came of it, and in the same transaction that the destinations are to be told."""
        status = self.database.finish(model_version, end, self.destinations)
        self.mark.unlink(missing_ok=True)
        if status:
            self.telemetry.ended(status)

    def _marked(self) -> str | None:
        try:
            return self.mark.read_text().strip()
        except FileNotFoundError:
            return None

    def _beat(self, model_version: str, ended: threading.Event) -> None:
        while not ended.wait(self.beat_s):
            self.telemetry.beat()
            try:
                self.database.beat(model_version, self.now())
            except sa.exc.SQLAlchemyError as error:  # the run goes on; only a long silence counts
                _LOG.warning("trainer.heartbeat_not_written", error=str(error))
