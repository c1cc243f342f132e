"""Who changed what, in both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from runtime.experiments import Variant
from storage import audit, corrections, experiments
from storage.audit import Action, Actor, Change, Door, Recorded, Subject
from storage.correction_rules import CorrectionError, Rule
from storage.database import Database
from storage.experiment_rules import Definition, ExperimentError

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
ANN, BOB = Actor("ann", Door.CLI), Actor("bob", Door.REST)
TRIED = Definition("calm", "feed", 0.5, [Variant("a", 1.0), Variant("b", 1.0)], "less alike", "ann")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def told(
    database: Database, limit: int = 10, subject: Subject | None = None, subject_id: str = ""
) -> list[Recorded]:
    async with database.read() as connection:
        return await audit.list_newest(connection, limit, subject=subject, subject_id=subject_id)


async def create(database: Database, rule: Rule) -> str:
    async with database.begin() as connection:
        return (await corrections.create(connection, rule, reason="why", admin=ANN, now=NOW)).correction_id


async def switch_off(database: Database, correction_id: str) -> None:
    async with database.begin() as connection:
        await corrections.deactivate(connection, correction_id, admin=BOB, now=NOW + timedelta(hours=1))


async def test_each_change_of_a_correction_is_told_once(database: Database) -> None:
    """For whose feed it is stands in the correction alone: this log outlives every user."""
    made = await create(database, Rule("BOOST", "u1", target_factor="tag", target_value="cats", value=2.0))
    await asyncio.gather(*(switch_off(database, made) for _ in range(3)))
    rule = {"correction_type": "BOOST", "target_factor": "tag", "target_value": "cats", "value": 2.0}
    assert await told(database) == [
        Recorded(Change(Subject.CORRECTION, made, Action.DEACTIVATED, BOB, {}), NOW + timedelta(hours=1)),
        Recorded(Change(Subject.CORRECTION, made, Action.CREATED, ANN, rule), NOW),
    ]


async def test_each_change_of_an_experiment_is_told_once(database: Database) -> None:
    async with database.begin() as connection:
        await experiments.create(connection, TRIED, NOW, Door.CLI)
    async with database.begin() as connection:
        await experiments.start(connection, "calm", NOW, BOB)

    async def stop() -> None:
        async with database.begin() as connection:
            await experiments.stop(connection, "calm", NOW, BOB, "enough")

    await asyncio.gather(*(stop() for _ in range(3)))
    stopped, started, created = await told(database, subject=Subject.EXPERIMENT, subject_id="calm")
    assert stopped.change == Change(Subject.EXPERIMENT, "calm", Action.STOPPED, BOB, {"reason": "enough"})
    assert started.change == Change(Subject.EXPERIMENT, "calm", Action.STARTED, BOB, {"buckets": [[0, 5_000]]})
    assert (created.change.action, created.change.actor) == (Action.CREATED, ANN)
    assert (created.change.details["traffic"], created.change.details["hypothesis"]) == (0.5, "less alike")
    assert [each["name"] for each in created.change.details["variants"]] == ["a", "b"]


async def test_what_is_not_done_is_not_told(database: Database) -> None:
    """Refused, or rolled back with what it was to tell of."""
    async with database.begin() as connection:
        with pytest.raises(CorrectionError):
            await corrections.create(connection, Rule("BLOCK"), reason="why", admin=ANN, now=NOW)
        with pytest.raises(CorrectionError, match="admin_id: must be 1 to 128 characters"):
            await corrections.deactivate(connection, "none", admin=Actor("", Door.CLI), now=NOW)
        with pytest.raises(ExperimentError):
            await experiments.start(connection, "calm", NOW, ANN)
    with pytest.raises(RuntimeError):
        async with database.begin() as connection:
            await experiments.create(connection, TRIED, NOW, Door.CLI)
            raise RuntimeError
    await switch_off(database, "none")
    assert await told(database) == []


async def test_the_newest_come_first_as_many_and_of_what_is_wanted(database: Database) -> None:
    made = [await create(database, Rule("BLOCK", video_id=f"v{number}")) for number in range(3)]
    async with database.begin() as connection:
        await experiments.create(connection, TRIED, NOW, Door.CLI)
    assert [each.change.subject_id for each in await told(database, 3)] == ["calm", made[2], made[1]]
    of_corrections = await told(database, subject=Subject.CORRECTION)
    assert [each.change.subject_id for each in of_corrections] == made[::-1]
    (of_one,) = await told(database, subject=Subject.CORRECTION, subject_id=made[0])
    assert of_one.change.details == {"correction_type": "BLOCK", "video_id": "v0"}
