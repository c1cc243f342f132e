"""Experiments, one row each. What one is about never changes: it is made, started once and stopped once."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.experiments import BUCKETS, Experiment, Variant
from storage import audit
from storage.audit import Action, Actor, Change, Door, Subject
from storage.experiment_rules import Definition, ExperimentError, problems_of
from storage.problems import Problem
from storage.tables import experiments

_ROW: Final = experiments.c

Ranges = list[tuple[int, int]]


class Status(StrEnum):
    """Where an experiment is."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class StoredExperiment:
    """An experiment as it is kept.

    Args:
        definition: What it is about.
        status: Where it is.
        experiment: What assigns its users; without buckets while it is a draft.
        created_at: When it was made, UTC.
        started_at: When it was started, UTC.
        ended_at: When it was stopped, UTC.
        stop_reason: Why; None: nobody said.
    """

    definition: Definition
    status: Status
    experiment: Experiment
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    stop_reason: str | None


async def create(connection: AsyncConnection, definition: Definition, now: datetime, door: Door) -> StoredExperiment:
    """Adds an experiment, as a draft, and returns it.

    Args:
        connection: An open transaction that may write.
        definition: What it is about.
        now: The time.
        door: Through what its `admin_id` makes it.

    Raises:
        ExperimentError: When it makes no sense, or there is one of this name.
    """
    if problems := problems_of(definition):
        raise ExperimentError(problems)
    if await load(connection, definition.name) is not None:
        raise ExperimentError([Problem("name", f"there is an experiment {definition.name} already")])
    values = {
        _ROW.name: definition.name,
        _ROW.layer: definition.layer,
        _ROW.salt: secrets.token_hex(8),
        _ROW.traffic: definition.traffic,
        _ROW.variants: msgspec.to_builtins(definition.variants),
        _ROW.hypothesis: definition.hypothesis,
        _ROW.admin_id: definition.admin_id,
        _ROW.status: Status.DRAFT.value,
        _ROW.buckets: [],
        _ROW.created_at: now,
    }
    await connection.execute(sa.insert(experiments).values(values))
    details = {
        "layer": definition.layer,
        "traffic": definition.traffic,
        "variants": values[_ROW.variants],
        "hypothesis": definition.hypothesis,
    }
    change = _change(definition.name, Action.CREATED, Actor(definition.admin_id, door), details)
    await audit.record(connection, change, now)
    return await known(connection, definition.name)


async def start(connection: AsyncConnection, name: str, now: datetime, admin: Actor) -> StoredExperiment:
    """Gives a draft its users and starts it.

    Args:
        connection: An open transaction that may write.
        name: Its name.
        now: The time.
        admin: Who starts it.

    Raises:
        ExperimentError: When there is none of this name, it is no draft, or its layer has too few users left.
    """
    layer = _ROW.layer == (await known(connection, name)).definition.layer
    # Nobody else may give away buckets of the layer meanwhile: each start locks the rows of all of it, in one order, so
    # that two of them do not wait for each other. SQLite has one writer anyway.
    await connection.execute(sa.select(_ROW.name).where(layer).order_by(_ROW.name).with_for_update())
    found = await known(connection, name)
    if found.status is not Status.DRAFT:
        raise ExperimentError([Problem("name", f"{name} is {found.status}; only a draft can be started")])
    running = sa.select(_ROW.buckets).where(layer, _ROW.status == Status.RUNNING.value)
    taken = [(first, end) for ranges in await connection.scalars(running) for first, end in ranges]
    free = list(_gaps(sorted(taken)))
    left, wanted = sum(end - first for first, end in free), max(1, round(found.definition.traffic * BUCKETS))
    if left < wanted:
        raise ExperimentError(
            [Problem("traffic", f"must be at most {left / BUCKETS:g}: more users the layer does not have left")]
        )
    buckets = list(_lowest(free, wanted))
    started = sa.update(experiments).where(_ROW.name == name)
    await connection.execute(started.values(status=Status.RUNNING.value, buckets=buckets, started_at=now))
    await audit.record(connection, _change(name, Action.STARTED, admin, {"buckets": buckets}), now)
    return await known(connection, name)


async def stop(
    connection: AsyncConnection, name: str, now: datetime, admin: Actor, reason: str | None = None
) -> StoredExperiment:
    """Stops an experiment for good, which may be stopped already, and returns it.

    Args:
        connection: An open transaction that may write.
        name: Its name.
        now: The time.
        admin: Who stops it.
        reason: Why.

    Raises:
        ExperimentError: When there is none of this name.
    """
    not_over = sa.update(experiments).where(_ROW.name == name, _ROW.status != Status.STOPPED.value)
    stopped = not_over.values(status=Status.STOPPED.value, ended_at=now, stop_reason=reason)
    if (await connection.execute(stopped)).rowcount:
        details = {"reason": reason} if reason else {}
        await audit.record(connection, _change(name, Action.STOPPED, admin, details), now)
    return await known(connection, name)


async def load(connection: AsyncConnection, name: str) -> StoredExperiment | None:
    """Returns an experiment; None when there is none of this name."""
    row = (await connection.execute(sa.select(experiments).where(_ROW.name == name))).one_or_none()
    return None if row is None else _stored(row)


async def known(connection: AsyncConnection, name: str) -> StoredExperiment:
    """Returns an experiment.

    Raises:
        ExperimentError: When there is none of this name.
    """
    found = await load(connection, name)
    if found is None:
        raise ExperimentError([Problem("name", f"there is no experiment {name}")])
    return found


async def list_newest(connection: AsyncConnection, limit: int) -> list[StoredExperiment]:
    """Returns experiments, newest first, at most so many."""
    newest = sa.select(experiments).order_by(_ROW.created_at.desc(), _ROW.name).limit(limit)
    return [_stored(row) for row in await connection.execute(newest)]


async def not_over(connection: AsyncConnection) -> list[StoredExperiment]:
    """Returns drafts and what is running, those of a layer one after the other."""
    found = sa.select(experiments).where(_ROW.status != Status.STOPPED.value).order_by(_ROW.layer, _ROW.name)
    return [_stored(row) for row in await connection.execute(found)]


def _gaps(taken: Ranges) -> Iterator[tuple[int, int]]:
    place = 0
    for first, end in (*taken, (BUCKETS, BUCKETS)):
        if first > place:
            yield place, first
        place = end


def _lowest(free: Ranges, wanted: int) -> Iterator[tuple[int, int]]:
    for first, end in free:
        if not wanted:
            return
        taken = min(end - first, wanted)
        yield first, first + taken
        wanted -= taken


def _change(name: str, action: Action, admin: Actor, details: Mapping[str, Any]) -> Change:
    return Change(Subject.EXPERIMENT, name, action, admin, details)


def _stored(row: sa.Row[Any]) -> StoredExperiment:
    variants = msgspec.convert(row.variants, Sequence[Variant])
    buckets = [(first, end) for first, end in row.buckets]
    return StoredExperiment(
        Definition(row.name, row.layer, row.traffic, variants, row.hypothesis, row.admin_id),
        Status(row.status),
        Experiment(row.name, row.layer, row.salt, buckets, variants),
        row.created_at,
        row.started_at,
        row.ended_at,
        row.stop_reason,
    )
