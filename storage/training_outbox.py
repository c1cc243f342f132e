"""Who is still to be told what came of a training: a row for each, written with the status itself."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from storage.dialect import upsert
from storage.tables import training_outbox

_COLUMNS = training_outbox.c


@dataclass(frozen=True, slots=True)
class Untold:
    """A training that a destination was not told of yet.

    Args:
        model_version: Which.
        queued_at: When its status was written.
        attempts: How often telling it failed.
    """

    model_version: str
    queued_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a destination was not told yet.

    Args:
        waiting: How many trainings.
        next_attempt_at: When the first of them may be told.
    """

    waiting: int
    next_attempt_at: datetime


def queue(connection: sa.Connection, model_version: str, destinations: Collection[str], now: datetime) -> None:
    """Remembers that these are to be told of a training, at once; call it in the transaction of its status."""
    if not destinations:
        return
    given = {"queued_at": now, "next_attempt_at": now, "attempts": 0, "error": None}
    statement = upsert(training_outbox, connection.dialect.name, ("destination", "model_version"), list(given))
    rows = [{"destination": each, "model_version": model_version, **given} for each in destinations]
    connection.execute(statement, rows)


def backlogs(connection: sa.Connection) -> dict[str, Backlog]:
    """Returns what waits, by destination; those that were told everything are left out."""
    statement = sa.select(
        _COLUMNS.destination, sa.func.count(), sa.func.min(_COLUMNS.next_attempt_at, type_=_COLUMNS.queued_at.type)
    ).group_by(_COLUMNS.destination)
    return {destination: Backlog(*counted) for destination, *counted in connection.execute(statement)}


def untold(connection: sa.Connection, destination: str) -> list[Untold]:
    """Returns what a destination was not told yet: first what failed least often, of it the oldest."""
    statement = (
        sa.select(_COLUMNS.model_version, _COLUMNS.queued_at, _COLUMNS.attempts)
        .where(_COLUMNS.destination == destination)
        .order_by(_COLUMNS.attempts, _COLUMNS.queued_at)
    )
    return [Untold(*row) for row in connection.execute(statement)]


def told(connection: sa.Connection, destination: str, item: Untold) -> None:
    """Forgets what was told, unless its status was written anew meanwhile."""
    connection.execute(sa.delete(training_outbox).where(*_is(destination, item)))


def put_off(connection: sa.Connection, destination: str, item: Untold, until: datetime, error: str) -> None:
    """Remembers that telling failed and why; everything else for the destination waits as long."""
    failed = sa.update(training_outbox).where(*_is(destination, item))
    connection.execute(failed.values(attempts=item.attempts + 1, error=error))
    waiting = sa.update(training_outbox).where(_COLUMNS.destination == destination)
    connection.execute(waiting.values(next_attempt_at=until))


def _is(destination: str, item: Untold) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _COLUMNS.destination == destination,
        _COLUMNS.model_version == item.model_version,
        _COLUMNS.queued_at == item.queued_at,
    )
