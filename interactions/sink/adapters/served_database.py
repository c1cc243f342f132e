"""The store of served pages in the database: feed cache, decisions and log offsets in one transaction."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.ports import Offsets, Partition
from eventlog.topics import SERVED
from interactions.domain.served_page import Served, ServedPage
from interactions.sink.adapters.log_transactions import LogTransactions
from interactions.sink.ports import Written
from interactions.system import System
from storage import consent, served
from storage.consent import Withheld
from storage.database import Database
from storage.served import DecisionRow, PageRow

_LOG = structlog.get_logger(__name__)

# As long as a page token holds by default: what a session showed is known for as long as it can go on.
_KEPT: Final = timedelta(hours=24)
# How often expired pages are looked for, and how many are deleted at once and in all.
_PRUNE_EVERY_S: Final = 10.0
_PRUNE_ROWS: Final = 2_000
_PRUNES: Final = 5


class DatabaseServedStore:
    """Writes served pages into the feed's database, each once: two stores may write the same pages at a time.

    Args:
        database: Open as long as the store is used.
        group: Name of the readers whose offsets these are.
        system: Time.
    """

    def __init__(self, database: Database, group: str, system: System) -> None:
        self._database = database
        self._transactions = LogTransactions(database, group, SERVED)
        self._system = system
        self._prune_at_s = 0.0

    async def load_offsets(self, partitions: Collection[Partition]) -> Offsets:
        """Returns where the last transaction on each partition left off."""
        return await self._transactions.load_offsets(partitions)

    async def write(self, pages: Sequence[Served], offsets: Offsets) -> Written:
        """Writes all of it or nothing, and now and then deletes what has expired."""
        once = list({each.key: each for each in reversed(pages)}.values())[::-1]
        written = await self._transactions.write(partial(_write, pages=once), offsets)
        if self._system.monotonic() >= self._prune_at_s:
            self._prune_at_s = self._system.monotonic() + _PRUNE_EVERY_S
            await self._prune()
        return written

    async def _prune(self) -> None:
        """Deletes expired pages; what is left, or fails, is for the next time."""
        try:
            for _ in range(_PRUNES):
                async with self._database.begin() as connection:
                    deleted = await served.prune_pages(connection, self._system.now(), _PRUNE_ROWS)
                if deleted < _PRUNE_ROWS:
                    return
        except (SQLAlchemyError, OSError) as error:
            _LOG.warning("sink.not_pruned", error=str(error))


async def _write(connection: AsyncConnection, pages: Sequence[Served]) -> Written:
    if not pages:
        return Written(0)
    withheld = await consent.withheld(connection, {each.page.user_id for each in pages})
    kept = [each for each in pages if not _is_kept_out(each, withheld)] if withheld else pages
    known = await served.known_pages(connection, [each.key for each in kept])
    new = [each for each in kept if each.key not in known]
    decisions = [row for each in new for row in decision_rows(each)]
    await served.insert(connection, [page_row(each) for each in new], decisions)
    return Written(len(new), len(pages) - len(kept))


def _is_kept_out(stored: Served, withheld: Mapping[str, Withheld]) -> bool:
    found = withheld.get(stored.page.user_id)
    return found is not None and found.keeps_out(stored.served_time)


def page_row(found: Served) -> PageRow:
    """Returns a page as a row."""
    page, time = found
    return PageRow(
        page.recommendation_id,
        page.feed_session_id,
        page.first_position,
        page.user_id,
        page.algorithm,
        page.model_version or None,
        page.source,
        page.fallback_reason,
        _json(page.video_ids),
        _json(page.scores),
        page.elapsed_ms,
        time,
        time + _KEPT,
    )


def decision_rows(found: Served) -> Iterator[DecisionRow]:
    """Yields the videos of a page as rows."""
    page, time = found
    filters, removed = _text(page.filters_applied), _text(page.removed)
    experiments = _json(page.experiments) if page.experiments else None
    propensities = dict(zip(page.explored, page.propensities, strict=True))
    parts = _parts(page)
    for place, (video_id, score) in enumerate(zip(page.video_ids, page.scores, strict=True)):
        # By position: by name takes twice as long, of what is done for every video.
        yield DecisionRow(
            page.recommendation_id,
            page.first_position + place,
            page.user_id,
            video_id,
            score,
            parts[place],
            filters,
            removed,
            page.source,
            page.fallback_reason,
            page.feed_session_id,
            page.algorithm,
            page.model_version or None,
            experiments,
            propensities.get(place),
            time,
        )


def _parts(page: ServedPage) -> Sequence[str | None]:
    """Returns the parts of each video's score as JSON, as far as they are known."""
    if not page.score_parts:
        return [None] * len(page.video_ids)
    names = tuple(page.score_parts)
    return [_json(dict(zip(names, row, strict=True))) for row in zip(*page.score_parts.values(), strict=True)]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _text(raw: msgspec.Raw) -> str | None:
    return bytes(raw).decode() or None
