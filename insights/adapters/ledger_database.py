"""The ledger in the database: what comes into its tables is judged by `domain/ledger.py`, in one transaction a step."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from insights.adapters.database import WRITING, bounded, reading
from insights.adapters.experiment_counts import count_deeds, count_pages
from insights.domain.ledger import Claim, Entry, Key, Known, Verdict, ignored, settle, tie
from insights.domain.outcome import (
    NOTHING,
    STATUSES,
    Deeds,
    Outcome,
    confidence_match,
    deeds_of,
    joined,
    was_successful,
)
from storage import ledger
from storage.database import Database
from storage.ledger import DoneRow, EntryRow, WaitingRow
from storage.settled import Settled
from storage.tables import feed_cache, user_interactions

# Counted beside the verdicts: videos of pages whose decisions are not there.
MISSING: Final = "missing"

# A step of this many rows takes a tenth of a second or two, for which others wait on SQLite.
_PAGES: Final = 250
_INTERACTIONS: Final = 2_000
_CLOSED: Final = 5_000
_TIMEOUT_S: Final = WRITING.statement_timeout_s


@dataclass(frozen=True, slots=True)
class LedgerPolicy:
    """What the ledger goes by.

    Args:
        token_keys: Returns the secrets that served tokens are made with.
        window: How long a served video may wait for its outcome, and a claim for its page.
        late_after_ms: A page that took longer came late, in milliseconds.
    """

    token_keys: Callable[[], Sequence[bytes]]
    window: timedelta
    late_after_ms: float


class DatabaseLedger:
    """The port `Ledger` on the database. Several may run at a time: they take turns.

    Args:
        database: A pool, open as long as this is used.
        policy: What it goes by.
        now: The wall time.
    """

    def __init__(self, database: Database, policy: LedgerPolicy, now: Callable[[], datetime]) -> None:
        self._database = database
        self._policy = policy
        self._now = now
        self._pages = Settled(feed_cache)
        self._interactions = Settled(user_interactions)

    async def take_pages(self) -> bool:
        """Opens entries, and ties what has waited for them."""
        newest = await self._newest(self._pages, feed_cache)
        if newest is None:
            return False
        async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
            after, until = await _next(connection, feed_cache, newest, _PAGES)
            missing = await ledger.open_pages(connection, after, until)
            await ledger.add_verdicts(connection, {MISSING: missing})
            await count_pages(connection, after, until, self._policy.late_after_ms)
            waited = [_waited(row) for row in await ledger.take_waiting(connection, after, until)]
            await self._settle(connection, waited)
            await ledger.set_progress(connection, feed_cache, until)
        return until < newest

    async def take_interactions(self) -> bool:
        """Ties interactions."""
        newest = await self._newest(self._interactions, user_interactions)
        if newest is None:
            return False
        now = self._now()
        async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
            after, until = await _next(connection, user_interactions, newest, _INTERACTIONS)
            done = await ledger.done_between(connection, after, until)
            await self._settle(connection, [_claim(row, now) for row in done])
            await ledger.set_progress(connection, user_interactions, until)
        return until < newest

    async def take_tracked(self) -> bool:
        """Ties what was tracked."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            if not await ledger.has_new(connection):
                return False
        async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
            await ledger.lock(connection)
            tracked = await ledger.take_new(connection, _INTERACTIONS)
            await self._settle(connection, [_waited(row) for row in tracked])
        return len(tracked) == _INTERACTIONS

    async def tidy(self) -> bool:
        """Closes what has been open for the window, oldest first."""
        over = self._now() - self._policy.window
        async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
            await ledger.lock(connection)
            dropped = await ledger.drop_waiting(connection, over)
            await ledger.add_verdicts(connection, {Verdict.UNKNOWN: dropped})
            columns = _columns(Outcome.IGNORED, NOTHING, 0.0, self._now())
            closed = await ledger.close_pending(connection, over, _CLOSED, columns)
            await ledger.add_totals(connection, ignored(closed))
        return len(closed) == _CLOSED

    async def track(self, claim: Claim) -> Verdict:
        """Keeps a claim until `take_tracked`: who calls waits neither for the ledger nor for others who do."""
        row = _waiting_row(claim, is_new=True)
        async with reading(self._database, _TIMEOUT_S) as connection:
            known = await _known(connection, [claim])
            said = await ledger.is_waiting(connection, row)
        verdict, entry = tie(claim, known, self._policy.token_keys())
        if said or (entry is not None and joined(entry.deeds, claim.deeds) == entry.deeds):
            return Verdict.REPEATED
        if verdict in (Verdict.TIED, Verdict.WAITING):
            async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
                await ledger.put_waiting(connection, [row])
        return verdict

    async def _newest(self, rows: Settled, table: sa.Table) -> int | None:
        """Returns up to which row there is something new; None when there is nothing."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            newest, taken = await rows.newest_row(connection), await ledger.progress(connection, table)
        if taken is None:
            await self._begin(table)
            return None
        return newest if newest > taken else None

    async def _begin(self, table: sa.Table) -> None:
        """Starts the ledger with what comes from now on."""
        async with bounded(self._database.begin(), _TIMEOUT_S) as connection:
            await ledger.lock(connection)
            if await ledger.progress(connection, table) is None:
                newest = await connection.scalar(sa.select(sa.func.max(table.c.id)))
                await ledger.set_progress(connection, table, newest or 0)

    async def _settle(self, connection: AsyncConnection, claims: Sequence[Claim]) -> None:
        known = await _known(connection, claims)
        settled = settle(claims, known, self._policy.token_keys())
        now = self._now()
        await ledger.update_entries(connection, [_row(entry, now) for entry in settled.entries.values()])
        await ledger.add_totals(connection, settled.totals)
        await count_deeds(connection, known.entries.values(), settled.entries)
        await ledger.put_waiting(connection, [_waiting_row(claim, is_new=False) for claim in settled.waiting])
        # Those that wait are counted when they are judged.
        judged = {verdict.value: count for verdict, count in settled.verdicts.items() if verdict is not Verdict.WAITING}
        await ledger.add_verdicts(connection, judged)


async def _next(connection: AsyncConnection, table: sa.Table, newest: int, limit: int) -> tuple[int, int]:
    """Returns after which row, and up to which, is to be taken in now: nothing, when somebody else has done it."""
    await ledger.lock(connection)
    after = await ledger.progress(connection, table) or 0
    if after >= newest:
        return after, after
    return after, await ledger.end_of(connection, table, after, newest, limit)


async def _known(connection: AsyncConnection, claims: Sequence[Claim]) -> Known:
    named = {claim.recommendation_id for claim in claims if claim.recommendation_id}
    sessions = {claim.feed_session_id for claim in claims if claim.feed_session_id and not claim.recommendation_id}
    session_pages = await ledger.pages_of_sessions(connection, sessions)
    pairs = sorted({pair for claim in claims for pair in _pairs(claim, session_pages.get(claim.feed_session_id, ()))})
    entries = {pairs[place]: _entry(row) for place, row in await ledger.entries(connection, pairs)}
    unmatched = named - {recommendation_id for recommendation_id, _ in entries}
    pages = await ledger.known_pages(connection, unmatched) | (named - unmatched)
    return Known(entries, pages, session_pages)


def _pairs(claim: Claim, session_pages: Sequence[str]) -> Iterable[tuple[str, str]]:
    pages = (claim.recommendation_id,) if claim.recommendation_id else session_pages
    return ((page, claim.video_id) for page in pages)


def _claim(row: DoneRow, now: datetime) -> Claim:
    deeds = deeds_of(row.interaction_type, row.watch_time_s, row.duration_s, row.rating, row.event_time)
    page, session, token = row.recommendation_id or "", row.feed_session_id or "", row.served_token or ""
    return Claim(row.user_id, row.video_id, page, session, token, deeds, row.event_time, now)


def _waited(row: WaitingRow) -> Claim:
    deeds = Deeds(row.actions, row.watch_time_s, row.rating, row.rated_at)
    names = (row.user_id, row.video_id, row.recommendation_id, row.feed_session_id, row.served_token)
    return Claim(*names, deeds, row.happened_at, row.arrived_at)


def _waiting_row(claim: Claim, *, is_new: bool) -> WaitingRow:
    names = (claim.user_id, claim.video_id, claim.recommendation_id, claim.feed_session_id, claim.served_token)
    deeds = claim.deeds
    told = (deeds.actions, deeds.rating, deeds.rated_at, deeds.watch_time_s)
    return WaitingRow(*names, *told, claim.happened_at, claim.arrived_at, is_new)


def _entry(row: EntryRow) -> Entry:
    deeds = Deeds(row.actions, row.watch_time_s, row.rating, row.rated_at)
    key, outcome = Key(row.recommendation_id, row.position), Outcome(row.user_action)
    return Entry(key, row.user_id, row.group_id, row.created_at, row.confidence, outcome, deeds)


def _row(entry: Entry, now: datetime) -> dict[str, object]:
    columns = _columns(entry.outcome, entry.deeds, entry.confidence, now)
    return {"of_page": entry.key.recommendation_id, "of_position": entry.key.position, **columns}


def _columns(outcome: Outcome, deeds: Deeds, confidence: float, now: datetime) -> dict[str, object]:
    successful = was_successful(outcome, deeds.rating)
    return {
        "user_action": outcome.value,
        "status_after": STATUSES[outcome].value,
        "actions": deeds.actions,
        "rating": deeds.rating,
        "rated_at": deeds.rated_at,
        "watch_time_s": deeds.watch_time_s,
        "was_successful": successful,
        "confidence_match": confidence_match(confidence, successful),
        "decided_at": now,
    }
