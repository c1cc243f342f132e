"""Experiments in the database, and what their users did."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from insights.adapters.database import bounded, reading
from insights.domain.experiment_report import METRICS, ExperimentReport, report
from insights.domain.statistics import Sums
from insights.ports import RunningExperiment
from storage import experiment_users, experiments
from storage.database import Database
from storage.experiment_rules import Definition
from storage.experiments import Status

_TIMEOUT_S: Final = 30.0


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
            found = [each.definition for each in await experiments.not_over(connection) if _runs(each.status)]
            return [RunningExperiment(each.name, await report_of(connection, each)) for each in found]

    async def stop(self, name: str, reason: str) -> None:
        """Stops an experiment, which somebody may have stopped already."""
        async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
            await experiments.stop(connection, name, self._now(), reason)


async def report_of(connection: AsyncConnection, definition: Definition) -> ExperimentReport:
    """Reports on an experiment, as far as the ledger is."""
    sums = {
        metric: {
            found.variant: Sums(*found[1:])
            for found in await experiment_users.sums(connection, definition.name, each.x, each.y)
        }
        for metric, each in METRICS.items()
    }
    return report({variant.name: variant.weight for variant in definition.variants}, sums)


def _runs(status: Status) -> bool:
    return status is Status.RUNNING
