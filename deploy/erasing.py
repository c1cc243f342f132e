"""Takes a user out of everything: what can be done is done at once, the rest has a date on the receipt."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
import structlog

from deploy.topics import declared
from eventlog.adapters.journal_erasure import NOTHING_ERASED, JournalErased, erase_user
from eventlog.opening import journal_path
from eventlog.topics import INTERACTIONS, SERVED
from runtime.settings import CommonSettings
from storage import consent, erasures, log_offsets, personal_data
from storage.database import Database
from storage.erasures import Part, PartState, Receipt

_LOG = structlog.get_logger(__name__)

# Bridges look every 4 s at most, and forget once more at the next look.
_BRIDGES: Final = timedelta(seconds=10)
# Until the end of the next nightly run.
_NIGHT: Final = timedelta(hours=25)
# A day longer than any topic may keep a record.
_MARKED: Final = timedelta(days=31)
# What takes nothing but time.
_TIMED: Final = (Part.BRIDGES, Part.TOPICS)

# Under these names the sink keeps how far it read.
_SINKS: Final[Mapping[str, str]] = {INTERACTIONS: "feed-sink", SERVED: "feed-sink-served"}
# How often, and for how long between, what is still to be read of a journal is waited for.
_LOOKS: Final = 5
_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Eraser:
    """Erases users.

    Args:
        settings: Where everything is.
        database: A pool.
    """

    settings: CommonSettings
    database: Database

    async def erase(self, user_id: str, now: datetime) -> Receipt:
        """Erases a user; goes on where it was killed, and is safe to repeat.

        Args:
            user_id: The user, who need not be known.
            now: The time, UTC.

        Raises:
            SQLAlchemyError: When the database refuses or goes away; run it again.
            OSError: When a journal cannot be read or written; the same.
        """
        erasure_id = await self._begin(user_id, now)
        await self._remove(user_id, erasure_id, now, looks=_LOOKS)
        return (await self.receipts(user_id, now))[0]

    async def receipts(self, user_id: str, now: datetime) -> list[Receipt]:
        """Returns what became of the requests to erase a user, newest first."""
        async with self.database.begin() as connection:
            await erasures.finish_due(connection, _TIMED, now)
            return await erasures.receipts(connection, user_id)

    async def go_on(self, now: datetime) -> int:
        """Looks once more for what has come of users who were erased, and lets go of old marks; returns how many."""
        async with self.database.read() as connection:
            marked = (await connection.scalars(consent.erased())).all()
        for user_id in marked:
            newest = (await self.receipts(user_id, now))[:1]
            for receipt in newest:
                await self._remove(user_id, receipt.erasure_id, now, looks=1)
        async with self.database.begin() as connection:
            unmarked = await consent.unmark(connection, now - _MARKED)
            await erasures.finish_due(connection, (*_TIMED, Part.MARK), now)
            has_left_traces = bool(unmarked) or await erasures.any_open(connection, Part.FILES)
        if has_left_traces and self._is_embedded and await self._rewrite_file():
            async with self.database.begin() as connection:
                await erasures.finish_all(connection, Part.FILES, now)
        return len(marked)

    async def _begin(self, user_id: str, now: datetime) -> str:
        """Marks the user and begins a receipt; goes on with the last one while its mark holds."""
        async with self.database.begin() as connection:
            found = (await consent.withheld(connection, [user_id])).get(user_id)
            known = await erasures.receipts(connection, user_id)
            if known and found and found.erased_at and not found.personalised:
                return known[0].erasure_id
            await consent.mark_erased(connection, user_id, now)
            return await erasures.open_receipt(connection, user_id, self._parts(now), now)

    def _parts(self, now: datetime) -> dict[Part, PartState]:
        due = {
            Part.DATABASE: now,
            Part.JOURNALS: now + _NIGHT,
            Part.BRIDGES: now + _BRIDGES,
            Part.EXPORT: now + _NIGHT,
            Part.MODELS: now + _NIGHT,
            Part.MARK: now + _MARKED,
        }
        parts = {part: PartState(each) for part, each in due.items()}
        if self.settings.kafka_bootstrap_servers:
            longest_ms = max(topic.retention_ms for topic in declared().topics)
            parts[Part.TOPICS] = PartState(now + timedelta(milliseconds=longest_ms))
        # PostgreSQL's files and backups are its operator's.
        parts[Part.FILES] = PartState(now + _NIGHT if self._is_embedded else None)
        return parts

    async def _remove(self, user_id: str, erasure_id: str, now: datetime, looks: int) -> None:
        rows = await personal_data.erase_rows(self.database, user_id)
        await self._note(erasure_id, Part.DATABASE, rows, now, is_done=True)
        found = await self._erase_journals(user_id, looks)
        await self._note(erasure_id, Part.JOURNALS, found.blanked, now, is_done=not found.waiting)

    async def _erase_journals(self, user_id: str, looks: int) -> JournalErased:
        """Erases what was read of the journals of this data directory; waits a little for what was not."""
        blanked, found = 0, NOTHING_ERASED
        for look in range(looks):
            if look:
                await asyncio.sleep(_LOOK_S)
            found = await self._erase_read(user_id)
            blanked += found.blanked
            if not found.waiting:
                break
        return JournalErased(blanked, found.waiting)

    async def _erase_read(self, user_id: str) -> JournalErased:
        async with self.database.read() as connection:
            offsets = {topic: await log_offsets.load(connection, group, topic) for topic, group in _SINKS.items()}
        passed = {topic: {_SINKS[topic]: found[0]} for topic, found in offsets.items() if 0 in found}
        folder = self.settings.data_dir
        spools = (folder / "interactions" / "journal", folder / "bridge" / "served")
        total = await asyncio.to_thread(erase_user, journal_path(self.settings), user_id, passed)
        for spool in spools:
            total += await asyncio.to_thread(erase_user, spool, user_id)
        return total

    async def _note(self, erasure_id: str, part: Part, count: int, now: datetime, *, is_done: bool) -> None:
        async with self.database.begin() as connection:
            await erasures.removed(connection, erasure_id, part, count)
            if is_done:
                await erasures.done(connection, erasure_id, part, now)

    async def _rewrite_file(self) -> bool:
        """Rewrites SQLite's file and empties its write-ahead log; says whether nobody was in the way of that.

        SQLite overwrites what is deleted, but not what it moved to another page before. Writers wait meanwhile.
        """
        async with self.database.driver() as driver:
            await (await driver.execute("VACUUM")).close()
            for look in range(_LOOKS):
                if look:
                    await asyncio.sleep(_LOOK_S)
                cursor = await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                is_busy, *_ = await cursor.fetchone()
                await cursor.close()
                if not is_busy:
                    return True
        return False

    @property
    def _is_embedded(self) -> bool:
        return sa.make_url(self.settings.effective_database_url).drivername == "sqlite"
