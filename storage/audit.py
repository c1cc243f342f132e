"""Who changed what by hand, and when: one row a change, added in its own transaction, and never altered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.access.rules import acting_name
from storage.tables import audit_log

_ROW: Final = audit_log.c


class Subject(StrEnum):
    """What may be changed by hand."""

    CORRECTION = "correction"
    EXPERIMENT = "experiment"
    MODEL = "model"


class Action(StrEnum):
    """What is done to it."""

    CREATED = "created"
    DEACTIVATED = "deactivated"
    STARTED = "started"
    STOPPED = "stopped"
    SERVED = "served"
    TRIED = "tried"
    WITHDRAWN = "withdrawn"


class Door(StrEnum):
    """Through what a change came."""

    CLI = "cli"
    GRPC = "grpc"
    REST = "rest"
    PAGE = "page"
    PROCESS = "process"  # no door: one of our own processes did it


class Actor(NamedTuple):
    """Who changes something.

    Args:
        name: At most 128 characters.
        door: Through what.
    """

    name: str
    door: Door


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Args:
        subject: Of what.
        subject_id: Of which one.
        action: What was done to it.
        actor: Who did it.
        details: What else is worth to be known; nothing that tells of a user of the feed, for it stays for good.
    """

    subject: Subject
    subject_id: str
    action: Action
    actor: Actor
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A change as it is kept.

    Args:
        change: It.
        created_at: When, UTC.
    """

    change: Change
    created_at: datetime


async def record(connection: AsyncConnection, change: Change, now: datetime) -> None:
    """Adds a change; belongs into the transaction that makes it."""
    await connection.execute(adding(change, now))


def adding(change: Change, now: datetime) -> sa.Insert:
    """Returns the statement that adds a change, with who has proven to make it, where he calls himself otherwise."""
    proven = acting_name()
    values = {
        "created_at": now,
        "subject": change.subject.value,
        "subject_id": change.subject_id,
        "action": change.action.value,
        "actor": change.actor.name,
        "door": change.actor.door.value,
        "details": {**change.details, **({"caller": proven} if proven not in {"", change.actor.name} else {})},
    }
    return sa.insert(audit_log).values(values)


async def list_newest(
    connection: AsyncConnection, limit: int, *, subject: Subject | None = None, subject_id: str = ""
) -> list[Recorded]:
    """Returns changes, newest first.

    Args:
        connection: An open transaction.
        limit: Most of them.
        subject: Only of these; None: of all.
        subject_id: Only of this one; empty: of all.
    """
    wanted = sa.select(audit_log).order_by(_ROW.id.desc()).limit(limit)
    if subject is not None:
        wanted = wanted.where(_ROW.subject == subject.value)
    if subject_id:
        wanted = wanted.where(_ROW.subject_id == subject_id)
    return [_recorded(row) for row in await connection.execute(wanted)]


def _recorded(row: sa.Row[Any]) -> Recorded:
    actor = Actor(row.actor, Door(row.door))
    return Recorded(
        Change(Subject(row.subject), row.subject_id, Action(row.action), actor, row.details), row.created_at
    )
