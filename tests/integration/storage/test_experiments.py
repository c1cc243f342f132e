"""Experiments in both databases: made, started once with users of their own, stopped once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runtime.experiments import BUCKETS, Parameter, RankedBy, Variant
from storage import experiments
from storage.audit import Actor, Door
from storage.database import Database
from storage.experiment_rules import Definition, ExperimentError
from storage.experiments import Status, StoredExperiment

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
ADMIN = Actor("ann", Door.CLI)
CALM = Definition(
    "calm",
    "feed",
    0.3,
    [
        Variant("control", 1.0),
        Variant("calm", 2.0, parameters={Parameter.DIVERSITY: 0.4, Parameter.MAX_RUN: 1.0}),
        Variant("plain", 1.0, RankedBy.TRENDING),
    ],
    "fewer alike in a row",
    "ann",
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def create(database: Database, definition: Definition, second: int = 0) -> StoredExperiment:
    async with database.begin() as connection:
        return await experiments.create(connection, definition, NOW + timedelta(seconds=second), Door.CLI)


async def start(database: Database, name: str) -> StoredExperiment:
    async with database.begin() as connection:
        return await experiments.start(connection, name, NOW + timedelta(hours=1), ADMIN)


async def stop(database: Database, name: str, hour: int = 2) -> StoredExperiment:
    async with database.begin() as connection:
        return await experiments.stop(connection, name, NOW + timedelta(hours=hour), ADMIN)


async def names(database: Database) -> list[tuple[str, Status]]:
    async with database.read() as connection:
        return [(each.definition.name, each.status) for each in await experiments.not_over(connection)]


async def test_what_is_made_is_what_is_kept(database: Database) -> None:
    made = await create(database, CALM)
    assert (made.definition, made.status, made.created_at) == (CALM, Status.DRAFT, NOW)
    assert (made.started_at, made.ended_at, list(made.experiment.buckets)) == (None, None, [])
    assert len(made.experiment.salt) == 16
    async with database.read() as connection:
        assert await experiments.load(connection, "calm") == made
        assert await experiments.load(connection, "other") is None


async def test_it_is_started_once_and_stopped_once(database: Database) -> None:
    made = await create(database, CALM)
    started = await start(database, "calm")
    assert (started.status, started.started_at) == (Status.RUNNING, NOW + timedelta(hours=1))
    assert list(started.experiment.buckets) == [(0, 3_000)]
    assert (started.definition, started.experiment.salt) == (CALM, made.experiment.salt)
    with pytest.raises(ExperimentError, match="name: calm is running; only a draft can be started"):
        await start(database, "calm")
    stopped = await stop(database, "calm")
    assert (stopped.status, stopped.ended_at) == (Status.STOPPED, NOW + timedelta(hours=2))
    assert await stop(database, "calm", hour=3) == stopped
    with pytest.raises(ExperimentError, match="name: calm is stopped; only a draft can be started"):
        await start(database, "calm")


async def test_those_of_a_layer_have_users_of_their_own(database: Database) -> None:
    for name, traffic in (("one", 0.3), ("two", 0.3), ("three", 0.2)):
        await create(database, replace(CALM, name=name, traffic=traffic))
        await start(database, name)
    await stop(database, "one")
    await create(database, replace(CALM, name="four", traffic=0.45))
    assert list((await start(database, "four")).experiment.buckets) == [(0, 3_000), (8_000, 9_500)]

    await create(database, replace(CALM, name="five", traffic=0.06))
    with pytest.raises(ExperimentError, match=r"traffic: must be at most 0\.05"):
        await start(database, "five")
    await create(database, replace(CALM, name="six", traffic=1.0, layer="other"))
    assert list((await start(database, "six")).experiment.buckets) == [(0, BUCKETS)]
    assert await names(database) == [
        ("five", Status.DRAFT),
        ("four", Status.RUNNING),
        ("three", Status.RUNNING),
        ("two", Status.RUNNING),
        ("six", Status.RUNNING),
    ]


async def test_two_that_start_at_the_same_time_share_no_user(database: Database) -> None:
    async def tried(name: str) -> Sequence[tuple[int, int]]:
        await create(database, replace(CALM, name=name, traffic=0.25))
        return (await start(database, name)).experiment.buckets

    given = await asyncio.gather(*(tried(f"e{number}") for number in range(4)))
    assert sorted(each for buckets in given for each in buckets) == [
        (first, first + 2_500) for first in range(0, BUCKETS, 2_500)
    ]


async def test_a_draft_that_two_start_at_the_same_time_is_started_once(database: Database) -> None:
    await create(database, CALM)
    tried = await asyncio.gather(*(start(database, "calm") for _ in range(4)), return_exceptions=True)
    refused = [str(each) for each in tried if isinstance(each, ExperimentError)]
    assert refused == ["name: calm is running; only a draft can be started"] * 3
    [started] = [each for each in tried if isinstance(each, StoredExperiment)]
    assert list(started.experiment.buckets) == [(0, 3_000)]


async def test_a_name_is_never_used_again(database: Database) -> None:
    await create(database, CALM)
    with pytest.raises(ExperimentError, match="name: there is an experiment calm already"):
        await create(database, CALM)


async def test_the_newest_come_first(database: Database) -> None:
    for second, name in enumerate("abc"):
        await create(database, replace(CALM, name=name), second)
    async with database.read() as connection:
        found = await experiments.list_newest(connection, 2)
    assert [each.definition.name for each in found] == ["c", "b"]


@pytest.mark.parametrize("act", [start, stop])
async def test_what_is_not_there_can_be_neither_started_nor_stopped(
    act: Callable[[Database, str], Awaitable[StoredExperiment]], database: Database
) -> None:
    with pytest.raises(ExperimentError, match="name: there is no experiment calm"):
        await act(database, "calm")
