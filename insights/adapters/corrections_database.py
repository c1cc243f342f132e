"""Corrections in the database, and what they did."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from insights.adapters.database import bounded, reading
from insights.domain.corrections import Period, around
from insights.domain.outcome import ACCEPTED, REJECTED, Outcome
from insights.ports import CorrectionEffect, CorrectionStory, PeriodCounts
from storage import audit, correction_effect, corrections
from storage.audit import Action, Actor, Recorded, Subject
from storage.correction_effect import OutcomeNames
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
            before, since = around(found.created_at, next(off, self._now()), window)
            return CorrectionEffect(
                found, await _counts(connection, found.rule, before), await _counts(connection, found.rule, since)
            )

    async def story(self, correction_id: str) -> CorrectionStory | None:
        """Returns a correction with who changed it."""
        async with reading(self._reading, _TIMEOUT_S) as connection:
            found = await corrections.load(connection, correction_id)
            return None if found is None else CorrectionStory(found, await _changes(connection, correction_id))


async def _changes(connection: AsyncConnection, correction_id: str) -> list[Recorded]:
    return await audit.list_newest(connection, _CHANGES, subject=Subject.CORRECTION, subject_id=correction_id)


async def _counts(connection: AsyncConnection, rule: Rule, period: Period) -> PeriodCounts:
    return PeriodCounts(period, *await correction_effect.counts(connection, rule, _COUNTED, *period))
