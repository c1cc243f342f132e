"""Receipts of erasures: what of a user is gone since when, and by when the rest will be."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import user_erasure_parts, user_erasures

_PART = user_erasure_parts.c


class Part(StrEnum):
    """Where something of a user may be."""

    DATABASE = "database"  # rows of all tables, but for the mark
    JOURNALS = "journals"  # the embedded log, and spools of what Kafka has not confirmed, of one data directory
    BRIDGES = "bridges"  # what they remember, and what they keep on disk
    TOPICS = "topics"  # Kafka
    EXPORT = "export"  # days as parquet
    MODELS = "models"  # bundles that serve or can be gone back to
    FILES = "files"  # what deleted rows left behind in the files of the database
    MARK = "mark"  # the id and the time, by which late records are known


@dataclass(frozen=True, slots=True)
class PartState:
    """How far one part is.

    Args:
        due_at: When it is done at the latest; None: no time can be promised.
        done_at: When it was done; None: not yet.
        removed: How many rows or records that were.
    """

    due_at: datetime | None
    done_at: datetime | None = None
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one request to erase a user.

    Args:
        erasure_id: Its id.
        requested_at: When it came, UTC.
        parts: How far each part is.
    """

    erasure_id: str
    requested_at: datetime
    parts: Mapping[Part, PartState]


def hash_of(user_id: str) -> str:
    """Returns what a receipt knows its user by: who has the id finds it, but it does not tell the id."""
    return hashlib.sha256(user_id.encode()).hexdigest()


async def open_receipt(
    connection: AsyncConnection, user_id: str, parts: Mapping[Part, PartState], now: datetime
) -> str:
    """Begins a receipt, and returns its id.

    Args:
        connection: An open transaction that may write.
        user_id: Who is erased.
        parts: What there is to do.
        now: The time.
    """
    erasure_id = str(uuid.uuid4())
    head = {"erasure_id": erasure_id, "user_hash": hash_of(user_id), "requested_at": now}
    await connection.execute(sa.insert(user_erasures), head)
    rows = [
        {"erasure_id": erasure_id, "part": part, "due_at": each.due_at, "done_at": each.done_at, "removed": 0}
        for part, each in parts.items()
    ]
    await connection.execute(sa.insert(user_erasure_parts), rows)
    return erasure_id


async def removed(connection: AsyncConnection, erasure_id: str, part: Part, count: int) -> None:
    """Adds to what was removed of a part."""
    more = _of_part(erasure_id, part).values(removed=_PART.removed + count)
    await connection.execute(more)


async def done(connection: AsyncConnection, erasure_id: str, part: Part, now: datetime) -> None:
    """Says that a part is done; one that was done before stays so."""
    await connection.execute(_of_part(erasure_id, part).where(_PART.done_at.is_(None)).values(done_at=now))


async def receipts(connection: AsyncConnection, user_id: str) -> list[Receipt]:
    """Returns the receipts of a user, newest first."""
    head = user_erasures.c
    wanted = sa.select(head.erasure_id, head.requested_at).where(head.user_hash == hash_of(user_id))
    newest = (await connection.execute(wanted.order_by(head.requested_at.desc(), head.erasure_id))).all()
    parts = await _parts(connection, [row.erasure_id for row in newest])
    return [Receipt(row.erasure_id, row.requested_at, parts[row.erasure_id]) for row in newest]


async def any_open(connection: AsyncConnection, part: Part) -> bool:
    """Says whether a part of any receipt is not done, though a time was promised."""
    open_ones = sa.select(sa.literal(1)).where(_PART.part == part, _PART.done_at.is_(None), _PART.due_at.is_not(None))
    return await connection.scalar(open_ones.limit(1)) == 1


async def finish_all(connection: AsyncConnection, part: Part, now: datetime) -> None:
    """Says that a part is done of every receipt."""
    open_ones = sa.update(user_erasure_parts).where(_PART.part == part, _PART.done_at.is_(None))
    await connection.execute(open_ones.values(done_at=now))


def finish_sync(connection: sa.Connection, user_ids: Sequence[str], part: Part, now: datetime) -> None:
    """Says that a part is done of every receipt of some users."""
    head = user_erasures.c
    hashes = [hash_of(user_id) for user_id in user_ids]
    meant = sa.select(head.erasure_id).where(head.user_hash.in_(hashes))
    open_ones = _PART.erasure_id.in_(meant) & (_PART.part == part) & _PART.done_at.is_(None)
    connection.execute(sa.update(user_erasure_parts).where(open_ones).values(done_at=now))


async def finish_due(connection: AsyncConnection, parts: Sequence[Part], now: datetime) -> None:
    """Says that parts are done that take nothing but time, once it is over."""
    over = _PART.part.in_(parts) & _PART.done_at.is_(None) & (_PART.due_at <= now)
    await connection.execute(sa.update(user_erasure_parts).where(over).values(done_at=_PART.due_at))


def _of_part(erasure_id: str, part: Part) -> sa.Update:
    return sa.update(user_erasure_parts).where(_PART.erasure_id == erasure_id, _PART.part == part)


async def _parts(connection: AsyncConnection, erasure_ids: Sequence[str]) -> dict[str, dict[Part, PartState]]:
    found: dict[str, dict[Part, PartState]] = {erasure_id: {} for erasure_id in erasure_ids}
    wanted = sa.select(user_erasure_parts).where(_PART.erasure_id.in_(erasure_ids))
    for row in await connection.execute(wanted):
        found[row.erasure_id][Part(row.part)] = PartState(row.due_at, row.done_at, row.removed)
    return found
