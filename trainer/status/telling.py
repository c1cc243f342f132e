"""Tells destinations what came of runs, until each has been told everything."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from runtime.lock_file import exclusive
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.domain.runs import retry_after
from trainer.status.ports import DestinationError, Destinations

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Telling:
    """Empties the outbox.

    Args:
        database: Where register and outbox are.
        destinations: Opens each destination that is told, by name.
        lock: The file that keeps two from telling at once.
        now: Gives the time, UTC.
    """

    database: TrainingDatabase
    destinations: Destinations
    lock: Path
    now: Callable[[], datetime]

    def is_due(self) -> bool:
        """Says whether anybody is to be told something now."""
        return bool(self._due())

    def tell(self) -> bool:
        """Tells what is due; returns whether nobody who was due waits any more.

        Killed on the way, whoever was not told is told next time; who was told but not yet crossed out is told again,
        which changes nothing there.

        Raises:
            AlreadyRunningError: While another process tells.
        """
        with exclusive(self.lock, "telling"):
            told = [self._tell(name) for name in self._due()]
            return all(told)

    def _due(self) -> list[str]:
        now = self.now()
        backlogs = self.database.backlogs()
        return [name for name in self.destinations if name in backlogs and backlogs[name].next_attempt_at <= now]

    def _tell(self, name: str) -> bool:
        """Tells one destination, up to the first failure: one that is away costs its time limit once."""
        items = self.database.untold(name)
        item = items[0]
        try:
            with closing(self.destinations[name]()) as destination:
                for item in items:
                    status = self.database.status_of(item.model_version)
                    if status:
                        destination.tell(status)
                    self.database.told(name, item)
                    _LOG.info("trainer.told", destination=name, model_version=item.model_version)
        except DestinationError as error:
            wait = retry_after(item.attempts + 1)
            self.database.put_off(name, item, self.now() + wait, str(error))
            _LOG.warning("trainer.not_told", destination=name, error=str(error), retry_s=wait.total_seconds())
            return False
        return True
