"""The register of trainings, from the database."""

from collections.abc import Sequence
from typing import Final

from insights.adapters.database import reading
from insights.ports import Training
from storage import trainings
from storage.database import Database

_TIMEOUT_S: Final = 2.0


class DatabaseTrainings:
    """The port `Trainings` on the database.

    Args:
        database: A pool, open as long as this is used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, limit: int) -> Sequence[Training]:
        """Returns the trainings that began last."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            found = await connection.run_sync(trainings.newest, limit)
        return [
            Training(
                each.model_version,
                each.algorithm,
                each.status.value,
                each.error,
                each.started_at,
                each.elapsed_s,
                each.counts.get("interactions"),
                each.metrics,
            )
            for each in found
        ]
