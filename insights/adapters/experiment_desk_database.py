"""Experiments in the database, for those who make them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from insights.adapters.database import READING, bounded, reading
from insights.adapters.experiments_database import report_of
from insights.domain.experiment_report import ExperimentReport
from insights.ports import ExperimentStory
from storage import audit, experiments
from storage.audit import Actor, Door, Subject
from storage.database import Database
from storage.experiment_rules import Definition
from storage.experiments import StoredExperiment

# Also of a report, which adds up a row a user and variant: a million take about a second.
_TIMEOUT_S: Final = READING.statement_timeout_s
# One is made, started and stopped once each.
_CHANGES: Final = 3


class DatabaseExperimentDesk:
    """The port `ExperimentDesk` on the database.

    Args:
        writing: A pool, open as long as this is used.
        reading: Another one, which nothing waits for that serves.
        now: The wall time.
    """

    def __init__(self, writing: Database, reading: Database, now: Callable[[], datetime]) -> None:
        self._writing = writing
        self._reading = reading
        self._now = now

    async def newest(self, limit: int) -> Sequence[StoredExperiment]:
        """Returns experiments."""
        async with reading(self._reading, _TIMEOUT_S) as connection:
            return await experiments.list_newest(connection, limit)

    async def story(self, name: str) -> ExperimentStory | None:
        """Returns an experiment and what was done to it."""
        async with reading(self._reading, _TIMEOUT_S) as connection:
            found = await experiments.load(connection, name)
            if found is None:
                return None
            changes = await audit.list_newest(connection, _CHANGES, subject=Subject.EXPERIMENT, subject_id=name)
            return ExperimentStory(found, changes)

    async def report(self, definition: Definition) -> ExperimentReport:
        """Reports on an experiment."""
        async with reading(self._reading, _TIMEOUT_S) as connection:
            return await report_of(connection, definition)

    async def create(self, definition: Definition, door: Door) -> None:
        """Adds a draft."""
        async with bounded(self._writing.begin(), _TIMEOUT_S) as connection:
            await experiments.create(connection, definition, self._now(), door)

    async def start(self, name: str, admin: Actor) -> None:
        """Starts a draft."""
        async with bounded(self._writing.begin(), _TIMEOUT_S) as connection:
            await experiments.start(connection, name, self._now(), admin)

    async def stop(self, name: str, admin: Actor, reason: str) -> None:
        """Stops an experiment."""
        async with bounded(self._writing.begin(), _TIMEOUT_S) as connection:
            await experiments.stop(connection, name, self._now(), admin, reason)
