"""What the ledger says, from the database: on connections of its own, and never for long."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from insights.adapters.database import READING, reading
from insights.domain.outcome import ACCEPTED, Outcome
from insights.ports import Acceptance, LedgerState, Performance
from storage import outcome_answers
from storage.database import Database

_TIMEOUT_S: Final = READING.statement_timeout_s


class DatabaseAnswers:
    """The port `Answers` on the database.

    Args:
        database: A pool that nothing else uses, open as long as this is used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acceptance(self, since: date, *, user_id: str, algorithm: str) -> Acceptance:
        """Returns how much was accepted."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            found = await outcome_answers.acceptance(connection, ACCEPTED, since, user_id=user_id, algorithm=algorithm)
        return Acceptance(*found)

    async def performance(self, since: date) -> Sequence[Performance]:
        """Returns the figures of each algorithm."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            found = await outcome_answers.by_algorithm(connection, ACCEPTED, since)
        return [Performance(name, Acceptance(served, accepted), *ever) for name, served, accepted, *ever in found]

    async def state(self) -> LedgerState:
        """Returns what the ledger adds up to."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            sums = await outcome_answers.sums(connection, ("served", *Outcome))
            verdicts = await outcome_answers.verdicts(connection)
            waiting = await outcome_answers.waiting(connection)
        return LedgerState(sums.pop("served"), sums, verdicts, waiting)
