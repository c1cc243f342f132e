"""What the ledger says, from the database: on connections of its own, and never for long."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any, Final

from insights.adapters.database import READING, reading
from insights.domain.funnel import Days, Funnel, Parts, Split, Window, added_up, variants_of
from insights.domain.outcome import ACCEPTED, Outcome
from insights.ports import Acceptance, LedgerState, Performance
from storage import outcome_answers
from storage.database import Database
from storage.ledger import POSITIONS

_TIMEOUT_S: Final = READING.statement_timeout_s

# The columns that each figure of a funnel is the sum of.
_COUNTS: Final[Mapping[str, Sequence[str]]] = {
    "pages": ("pages",),
    "served": ("served",),
    "consumed": ("ever_consumed",),
    "added": ("ever_added",),
    "rated": ("ever_rated",),
    "pending": ("pending",),
    "accepted": ACCEPTED,
    "successful": ("successful",),
    "watch_time_ms": ("watch_time_ms",),
    "confidence_match_ppm": ("confidence_match_ppm",),
}
_COLUMNS: Final[Mapping[Split, str]] = {split: split.value for split in Split} | {Split.VARIANT: "experiments"}
_RANGES: Final = {
    **{first: f"{first}" if after == first + 1 else f"{first}-{after - 1}" for first, after in pairwise(POSITIONS)},
    POSITIONS[-1]: f"{POSITIONS[-1]}-",
}


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

    async def funnel(self, window: Window, algorithm: str, split: Split | None) -> Parts:
        """Returns how far what was served came, by part."""
        rows = await self._grouped(window, algorithm, split, ())
        return added_up((name, _funnel(row)) for row in rows for name in _names(split, row))

    async def trends(self, window: Window, algorithm: str, split: Split | None) -> Days:
        """Returns the same by part and day."""
        rows = await self._grouped(window, algorithm, split, ("day",))
        sums = added_up(((name, row["day"]), _funnel(row)) for row in rows for name in _names(split, row))
        days: dict[str, dict[date, Funnel]] = {}
        for (name, day), funnel in sums.items():
            days.setdefault(name, {})[day] = funnel
        return days

    async def _grouped(
        self, window: Window, algorithm: str, split: Split | None, key: Sequence[str]
    ) -> Sequence[Mapping[str, Any]]:
        columns = (*key, *((_COLUMNS[split],) if split else ()))
        async with reading(self._database, _TIMEOUT_S) as connection:
            return await outcome_answers.grouped(connection, columns, _COUNTS, (window.since, window.until), algorithm)

    async def state(self) -> LedgerState:
        """Returns what the ledger adds up to."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            sums = await outcome_answers.sums(connection, ("served", *Outcome))
            verdicts = await outcome_answers.verdicts(connection)
            waiting = await outcome_answers.waiting(connection)
        return LedgerState(sums.pop("served"), sums, verdicts, waiting)


def _names(split: Split | None, row: Mapping[str, Any]) -> Sequence[str]:
    """Returns the parts that a row counts in."""
    if split is None:
        return ("",)
    value = row[_COLUMNS[split]]
    if split is Split.VARIANT:
        return variants_of(value)
    return (_RANGES[value] if split is Split.POSITION else value,)


def _funnel(row: Mapping[str, Any]) -> Funnel:
    return Funnel(*(row[name] for name in _COUNTS))
