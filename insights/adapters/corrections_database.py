"""Corrections in the database, and what they did."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from insights.adapters.database import bounded, reading
from insights.domain.corrections import Period, around, expected, looked_at, one_in
from insights.domain.outcome import ACCEPTED, REJECTED, Outcome
from insights.ports import CorrectionEffect, CorrectionStory, PeriodCounts
from storage import audit, correction_effect, corrections, outcome_answers
from storage.audit import Action, Actor, Recorded, Subject
from storage.correction_effect import Meant, OutcomeNames
from storage.correction_rules import Rule
from storage.corrections import StoredCorrection
from storage.database import Database

# Nobody waits longer for an answer, and no server works longer on one.
_TIMEOUT_S: Final = 2.0
_COUNTED: Final = OutcomeNames(ACCEPTED, REJECTED, (Outcome.PENDING,))
# A correction is made once and switched off once.
_CHANGES: Final = 2


class DatabaseCorrections:
    """The port `Corrections` on the database.

    Args:
        writing: A pool, open as long as this is used.
        reading: Another one, which nothing waits for that serves.
        now: The wall time.
    """

    def __init__(self, writing: Database, reading: Database, now: Callable[[], datetime]) -> None:
        self._writing = writing
        self._reading = reading
        self._now = now

    async def create(self, rule: Rule, reason: str, admin: Actor) -> StoredCorrection:
        """Adds a correction."""
        async with bounded(self._writing.begin(), _TIMEOUT_S) as connection:
            return await corrections.create(connection, rule, reason=reason, admin=admin, now=self._now())

    async def deactivate(self, correction_id: str, admin: Actor) -> StoredCorrection | None:
        """Switches a correction off."""
        async with bounded(self._writing.begin(), _TIMEOUT_S) as connection:
            return await corrections.deactivate(connection, correction_id, admin=admin, now=self._now())

    async def newest(
        self, limit: int, *, include_inactive: bool, after: tuple[datetime, str] | None
    ) -> Sequence[StoredCorrection]:
        """Returns corrections."""
        async with reading(self._reading, _TIMEOUT_S) as connection:
            return await corrections.list_newest(connection, limit, include_inactive=include_inactive, after=after)

    async def effect(self, correction_id: str, window: timedelta) -> CorrectionEffect | None:
        """Counts what became of the videos that a correction is about."""
        async with reading(self._reading, _TIMEOUT_S) as connection:
            found = await corrections.load(connection, correction_id)
            if found is None:
                return None
            changes = await _changes(connection, correction_id)
            off = (each.created_at for each in changes if each.change.action is Action.DEACTIVATED)
            now = self._now()
            periods = around(found.created_at, next(off, now), window)
            meant = await correction_effect.meant_by(connection, found.rule)
            share = one_in(max(await _served(connection, meant, periods, now)))
            before, since = [await _counts(connection, meant, period, share) for period in periods]
            return CorrectionEffect(found, before, since, share)

    async def story(self, correction_id: str) -> CorrectionStory | None:
        """Returns a correction with who changed it."""
        async with reading(self._reading, _TIMEOUT_S) as connection:
            found = await corrections.load(connection, correction_id)
            return None if found is None else CorrectionStory(found, await _changes(connection, correction_id))


async def _changes(connection: AsyncConnection, correction_id: str) -> list[Recorded]:
    return await audit.list_newest(connection, _CHANGES, subject=Subject.CORRECTION, subject_id=correction_id)


async def _served(
    connection: AsyncConnection, meant: Meant, periods: Sequence[Period], now: datetime
) -> Sequence[float]:
    """Returns about how many videos there are to be looked at in each period."""
    if meant.is_narrow:
        return [await correction_effect.served_narrowly(connection, meant, *period) for period in periods]
    days = [time.astimezone(UTC).date() for period in periods for time in period]
    found = await outcome_answers.grouped(connection, ("day",), {"served": ("served",)}, (min(days), max(days)), "")
    served = {row["day"]: row["served"] for row in found}
    return [expected(period, served, now) for period in periods]


async def _counts(connection: AsyncConnection, meant: Meant, period: Period, share: int) -> PeriodCounts:
    return PeriodCounts(period, *await correction_effect.counts(connection, meant, _COUNTED, looked_at(period, share)))
