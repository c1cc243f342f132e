"""Experiments from the database."""

from typing import Final

from bridge.adapters.reading import reading
from bridge.domain.experiments import KnownExperiments
from storage.database import Database
from storage.experiments import Status, not_over

_TIMEOUT_S: Final = 2.0


class DatabaseExperiments:
    """The port `ExperimentReader` on the database.

    Args:
        database: A pool.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self) -> KnownExperiments:
        """Reads those that are not over; raises ListError."""
        async with reading(self._database, "experiments", _TIMEOUT_S) as connection:
            found = await not_over(connection)
        running = tuple(each.experiment for each in found if each.status is Status.RUNNING)
        drafts = tuple(each.experiment for each in found if each.status is Status.DRAFT)
        return KnownExperiments(running, drafts)
