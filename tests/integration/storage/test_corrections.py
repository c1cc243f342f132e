"""Corrections in both databases."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from math import isnan

import pytest
import sqlalchemy as sa

from storage import corrections
from storage.audit import Actor, Door
from storage.correction_rules import CorrectionError, Rule
from storage.corrections import StoredCorrection
from storage.database import Database
from storage.tables import model_corrections

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
ADMIN = Actor("ann", Door.CLI)
FULL = Rule("BOOST", "u1", "v1", "video", "tag", "cats", 1.5)
BARE = Rule("BLOCK", video_id="v2")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def add(database: Database, rule: Rule, second: int = 0) -> StoredCorrection:
    async with database.begin() as connection:
        return await corrections.create(
            connection, rule, reason="why", admin=ADMIN, now=NOW + timedelta(seconds=second)
        )


async def test_what_is_made_is_what_is_kept(database: Database) -> None:
    made = [await add(database, rule) for rule in (FULL, BARE)]
    async with database.read() as connection:
        found = [await corrections.load(connection, each.correction_id) for each in made]
        missing = await corrections.load(connection, str(uuid.uuid4()))
    assert found == made
    assert [(each.rule, each.reason, each.admin_id, each.is_active, each.created_at) for each in made] == [
        (rule, "why", "ann", True, NOW) for rule in (FULL, BARE)
    ]
    assert missing is None


async def test_what_makes_no_sense_is_not_kept(database: Database) -> None:
    async with database.begin() as connection:
        with pytest.raises(CorrectionError, match=r"^video_id: name a video.*; reason: must be 1 to 1000 characters$"):
            await corrections.create(connection, Rule("BLOCK"), reason="", admin=ADMIN, now=NOW)
        assert await corrections.list_newest(connection, 10, include_inactive=True) == []


async def test_lists_come_in_pages_newest_first(database: Database) -> None:
    made = [await add(database, BARE, second) for second in (0, 1, 1, 2)]
    async with database.begin() as connection:
        off = await corrections.deactivate(connection, made[0].correction_id, admin=ADMIN, now=NOW)
    assert off is not None
    made[0] = off
    newest_first = sorted(made, key=lambda each: (each.created_at, each.correction_id), reverse=True)
    async with database.read() as connection:
        pages, after = [], None
        for _ in range(3):
            page = await corrections.list_newest(connection, 2, include_inactive=True, after=after)
            pages.append(page)
            after = (page[-1].created_at, page[-1].correction_id) if page else after
        active = await corrections.list_newest(connection, 10)
    assert pages == [newest_first[:2], newest_first[2:], []]
    assert active == newest_first[:3]


async def test_switching_off_twice_is_once_and_nothing_is_nothing(database: Database) -> None:
    made = await add(database, FULL)
    async with database.begin() as connection:
        first = await corrections.deactivate(connection, made.correction_id, admin=ADMIN, now=NOW)
        again = await corrections.deactivate(connection, made.correction_id, admin=ADMIN, now=NOW)
        missing = await corrections.deactivate(connection, "none", admin=ADMIN, now=NOW)
    assert first is not None
    assert (first.is_active, first, missing) == (False, again, None)


async def test_those_in_force_are_one_text_that_changes_with_them(database: Database) -> None:
    async def text(limit: int = 10) -> str:
        async with database.read() as connection:
            return await corrections.active_text(connection, limit)

    assert await text() == "[]"
    old, new = await add(database, FULL), await add(database, BARE, 1)
    both = await text()
    assert corrections.rules_of(both) == [(new.correction_id, BARE), (old.correction_id, FULL)]
    assert await text() == both
    assert corrections.rules_of(await text(1)) == [(new.correction_id, BARE)]
    async with database.begin() as connection:
        await corrections.deactivate(connection, new.correction_id, admin=ADMIN, now=NOW)
    assert corrections.rules_of(await text()) == [(old.correction_id, FULL)]


async def test_a_number_that_is_none_can_be_read(database: Database) -> None:
    """Whoever writes rows by hand may write it."""
    if database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite keeps NaN as NULL")
    made = await add(database, FULL)
    async with database.begin() as connection:
        await connection.execute(sa.update(model_corrections).values(correction_value=float("nan")))
        ((correction_id, rule),) = corrections.rules_of(await corrections.active_text(connection, 1))
    assert correction_id == made.correction_id
    assert rule.value is not None
    assert isnan(rule.value)
