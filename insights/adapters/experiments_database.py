"""Experiments in the database, and what their users did."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from insights.adapters.database import WRITING, bounded, reading
from insights.domain.experiment_report import METRICS, ExperimentReport, report
from insights.domain.statistics import Sums
from insights.ports import RunningExperiment
from storage import experiment_users, experiments
from storage.audit import Actor, Door
from storage.database import Database
from storage.experiment_rules import Definition
from storage.experiments import Status

# Who stops what harms users.
_GUARDIAN: Final = Actor("guardian", Door.PROCESS)

_TIMEOUT_S: Final = WRITING.statement_timeout_s


class DatabaseExperiments:
    """The port `Experiments` on the database.

    Args:
        database: A pool, open as long as this is used.
        now: The wall time.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def running(self) -> Sequence[RunningExperiment]:
        """Reports on each experiment that is running."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            return [
                RunningExperiment(each.definition.name, await report_of(connection, each.definition))
                for each in await experiments.not_over(connection)
                if each.status is Status.RUNNING
            ]

    async def stop(self, name: str, reason: str) -> None:
        """Stops an experiment, which somebody may have stopped already, as the guardian."""
        async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
            await experiments.stop(connection, name, self._now(), _GUARDIAN, reason)


async def report_of(connection: AsyncConnection, definition: Definition) -> ExperimentReport:
    """Reports on an experiment, as far as the ledger is."""
    found = await experiment_users.sums(connection, definition.name, [(each.x, each.y) for each in METRICS.values()])
    sums = {
        metric: {each.variant: Sums(*each[1:]) for each in of_metric}
        for metric, of_metric in zip(METRICS, found, strict=True)
    }
    return report({variant.name: variant.weight for variant in definition.variants}, sums)
