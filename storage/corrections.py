"""What editors change by hand, one row a correction; a row is never altered but for being switched off."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import audit
from storage.audit import Action, Actor, Change, Subject
from storage.correction_rules import CorrectionError, Rule, problems_of, problems_of_admin, problems_of_entry
from storage.tables import model_corrections

_ROW: Final = model_corrections.c

# What is read of each row in force, in this order.
_RULE_COLUMNS: Final = (
    _ROW.correction_id,
    _ROW.correction_type,
    _ROW.user_id,
    _ROW.video_id,
    _ROW.media_type,
    _ROW.target_factor,
    _ROW.target_value,
    _ROW.correction_value,
)
_NEWEST_FIRST: Final = (_ROW.created_at.desc(), _ROW.correction_id.desc())


@dataclass(frozen=True, slots=True)
class StoredCorrection:
    """A correction as it is kept.

    Args:
        correction_id: Its id.
        rule: What it changes.
        reason: Why.
        admin_id: Who made it.
        is_active: Whether it is in force.
        created_at: When it was made, UTC.
    """

    correction_id: str
    rule: Rule
    reason: str
    admin_id: str
    is_active: bool
    created_at: datetime


class ActiveRule(NamedTuple):
    """A correction in force.

    Args:
        correction_id: Its id.
        rule: What it changes; whether that makes sense is not judged.
    """

    correction_id: str
    rule: Rule


async def create(
    connection: AsyncConnection, rule: Rule, *, reason: str, admin: Actor, now: datetime
) -> StoredCorrection:
    """Adds a correction and returns it.

    Args:
        connection: An open transaction that may write.
        rule: What it changes.
        reason: Why, 1 to 1000 characters.
        admin: Who makes it; the name 1 to 128 characters.
        now: The time.

    Raises:
        CorrectionError: When it makes no sense.
    """
    if problems := (*problems_of(rule), *problems_of_entry(reason, admin.name)):
        raise CorrectionError(problems)
    made = StoredCorrection(str(uuid.uuid4()), rule, reason, admin.name, is_active=True, created_at=now)
    values = {
        _ROW.correction_id: made.correction_id,
        _ROW.correction_type: rule.correction_type,
        _ROW.user_id: rule.user_id or None,
        _ROW.video_id: rule.video_id or None,
        _ROW.media_type: rule.media_type or None,
        _ROW.target_factor: rule.target_factor or None,
        _ROW.target_value: rule.target_value or None,
        _ROW.correction_value: rule.value,
        _ROW.reason: reason,
        _ROW.admin_id: admin.name,
        _ROW.is_active: True,
        _ROW.created_at: now,
    }
    await connection.execute(sa.insert(model_corrections).values(values))
    await audit.record(connection, _change(made.correction_id, Action.CREATED, admin, _told(rule)), now)
    return made


async def load(connection: AsyncConnection, correction_id: str) -> StoredCorrection | None:
    """Returns a correction; None when there is none of that id."""
    found = await connection.execute(sa.select(model_corrections).where(_ROW.correction_id == correction_id))
    row = found.one_or_none()
    return None if row is None else _stored(row)


async def list_newest(
    connection: AsyncConnection,
    limit: int,
    *,
    include_inactive: bool = False,
    after: tuple[datetime, str] | None = None,
) -> list[StoredCorrection]:
    """Returns corrections, newest first.

    Args:
        connection: An open transaction.
        limit: Most of them.
        include_inactive: Whether switched-off ones come too.
        after: `created_at` and `correction_id` of the last one of the page before; None: from the newest.
    """
    wanted = sa.select(model_corrections).order_by(*_NEWEST_FIRST).limit(limit)
    if not include_inactive:
        wanted = wanted.where(_ROW.is_active)
    if after is not None:
        time, correction_id = after
        same_time = sa.and_(_ROW.created_at == time, _ROW.correction_id < correction_id)
        wanted = wanted.where(sa.or_(_ROW.created_at < time, same_time))
    return [_stored(row) for row in await connection.execute(wanted)]


async def deactivate(
    connection: AsyncConnection, correction_id: str, *, admin: Actor, now: datetime
) -> StoredCorrection | None:
    """Switches a correction off, which may be off, and returns it; None when there is none of that id.

    Args:
        connection: An open transaction that may write.
        correction_id: Its id.
        admin: Who does it; the name 1 to 128 characters.
        now: The time.

    Raises:
        CorrectionError: When nobody says who does it.
    """
    if problems := problems_of_admin(admin.name):
        raise CorrectionError(problems)
    off = sa.update(model_corrections).where(_ROW.correction_id == correction_id, _ROW.is_active)
    if (await connection.execute(off.values(is_active=False))).rowcount:
        await audit.record(connection, _change(correction_id, Action.DEACTIVATED, admin, {}), now)
    return await load(connection, correction_id)


async def active_text(connection: AsyncConnection, limit: int) -> str:
    """Returns the corrections in force, newest first, as one text for `rules_of`.

    One text, made by the database: who looks every other second sees whether anything has changed without making
    values of thousands of rows.

    Args:
        connection: An open transaction.
        limit: Most of them.
    """
    newest = sa.select(*_RULE_COLUMNS, _ROW.created_at).where(_ROW.is_active).order_by(*_NEWEST_FIRST).limit(limit)
    rows = newest.subquery()
    cells = [rows.c[column.name] for column in _RULE_COLUMNS]
    if connection.dialect.name == "postgresql":
        order = (rows.c.created_at.desc(), rows.c.correction_id.desc())
        listed = sa.func.json_agg(aggregate_order_by(sa.func.json_build_array(*cells), *order))
    else:  # SQLite takes the rows in the order of the query within
        listed = sa.func.json_group_array(sa.func.json_array(*cells))
    return await connection.scalar(sa.select(sa.cast(listed, sa.Text))) or "[]"


def rules_of(text: str) -> list[ActiveRule]:
    """Returns the corrections of what `active_text` returned."""
    return [_active(row) for row in json.loads(text)]


def _change(correction_id: str, action: Action, admin: Actor, details: Mapping[str, Any]) -> Change:
    return Change(Subject.CORRECTION, correction_id, action, admin, details)


def _told(rule: Rule) -> dict[str, Any]:
    """Returns what a rule says; for whose feed it is stands in the correction alone."""
    return {name: value for name, value in asdict(rule).items() if value not in {"", None} and name != "user_id"}


def _active(row: list[Any]) -> ActiveRule:
    correction_id, kind, *texts, value = row
    user_id, video_id, media_type, factor, target = (text or "" for text in texts)
    # PostgreSQL writes what is no number as a text.
    number = None if value is None else float(value)
    return ActiveRule(correction_id, Rule(kind, user_id, video_id, media_type, factor, target, number))


def _stored(row: sa.Row[Any]) -> StoredCorrection:
    return StoredCorrection(
        row.correction_id,
        Rule(
            row.correction_type,
            row.user_id or "",
            row.video_id or "",
            row.media_type or "",
            row.target_factor or "",
            row.target_value or "",
            row.correction_value,
        ),
        row.reason,
        row.admin_id,
        row.is_active,
        row.created_at,
    )
