"""Corrections on their way from both databases into a bridge."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.adapters.corrections_database import DatabaseCorrections
from bridge.adapters.lists_file import FileLists
from bridge.corrections import CorrectionsFollower
from bridge.domain.corrections import NO_CORRECTIONS, Correction, CorrectionKind, CorrectionsPolicy, UserCorrection
from bridge.domain.filters import Conditions
from bridge.domain.ladder import choose
from bridge.domain.lists import Viewer
from bridge.domain.outcome import FallbackReason
from bridge.fakes import Recorder, StoppedClock
from bridge.ports import ListError
from fakes.scorer.server import FakeScorer
from storage import corrections
from storage.audit import Actor, Door
from storage.correction_rules import Rule
from storage.database import Database
from storage.tables import model_corrections
from tests.integration.bridge.conftest import RunningBridge, StartBridge
from tests.polling import until

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
ADMIN = Actor("ann", Door.CLI)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


async def add(database: Database, rule: Rule, second: int = 0) -> str:
    async with database.begin() as connection:
        made = await corrections.create(
            connection, rule, reason="why", admin=ADMIN, now=NOW + timedelta(seconds=second)
        )
    return made.correction_id


async def switch_off(database: Database, correction_id: str) -> None:
    async with database.begin() as connection:
        await corrections.deactivate(connection, correction_id, admin=ADMIN, now=NOW)


async def test_a_correction_holds_on_the_next_look_and_no_more_once_it_is_off(
    database: Database, tmp_path: Path
) -> None:
    reader = DatabaseCorrections(database, 100)
    follower = CorrectionsFollower(reader, FileLists(tmp_path), CorrectionsPolicy(), StoppedClock(), Recorder())
    await follower.start()
    assert follower.of("u1") is NO_CORRECTIONS
    everybodys = await add(database, Rule("BLOCK", video_id="v1"))
    await add(database, Rule("BOOST", "u1", target_factor="tag", target_value="cats", value=2.0), 1)
    await follower.look()
    assert follower.of("u2").items == (Correction(CorrectionKind.BLOCK, video_id="v1"),)
    assert follower.of("u1").items == (
        Correction(CorrectionKind.BOOST, 2.0, tag="cats"),
        Correction(CorrectionKind.BLOCK, video_id="v1"),
    )
    await switch_off(database, everybodys)
    await follower.look()
    assert follower.of("u2") is NO_CORRECTIONS
    assert follower.of("u1").items == (Correction(CorrectionKind.BOOST, 2.0, tag="cats"),)
    await follower.stop()


async def test_each_kind_is_read_as_what_it_is(database: Database) -> None:
    rules = [
        Rule("BLOCK", target_factor="author", target_value="ann"),
        Rule("REDUCE", "u1", "v1", "video", "language", "en", 0.5),
        Rule("REWEIGHT", target_factor="item_bias", value=0.0),
        Rule("BLOCK", video_id="book", media_type="book"),
    ]
    for second, rule in enumerate(rules):
        await add(database, rule, -second)
    found = await DatabaseCorrections(database, 100).active("")
    assert found is not None
    assert found.senseless == ()
    assert found.found == (
        UserCorrection("", Correction(CorrectionKind.BLOCK, author_id="ann")),
        UserCorrection("u1", Correction(CorrectionKind.REDUCE, 0.5, "v1", language="en")),
        UserCorrection("", Correction(CorrectionKind.REWEIGHT, 0.0, part="item_bias")),
    )


async def test_rows_that_make_no_sense_are_left_out_and_named(database: Database) -> None:
    good, bad = await add(database, Rule("BLOCK", video_id="v1")), await add(database, Rule("BLOCK", video_id="v2"))
    async with database.begin() as connection:
        wrong = sa.update(model_corrections).where(model_corrections.c.correction_id == bad)
        await connection.execute(wrong.values(correction_type="PRAISE"))
    found = await DatabaseCorrections(database, 100).active("")
    assert found is not None
    assert [each.correction.video_id for each in found.found] == ["v1"]
    assert (found.senseless, good in found.senseless) == ((bad,), False)


async def test_nothing_is_read_again_until_something_changes(database: Database) -> None:
    made = await add(database, Rule("BLOCK", video_id="v1"))
    reader = DatabaseCorrections(database, 100)
    found = await reader.active("")
    assert found is not None
    assert await reader.active(found.mark) is None
    await switch_off(database, made)
    changed = await reader.active(found.mark)
    assert changed is not None
    assert changed.found == ()


async def test_a_database_that_is_down_is_an_error_of_the_port() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(ListError):
        await DatabaseCorrections(database, 100).active("")
    await database.close()


async def trending(bridge: RunningBridge, user_id: str) -> list[str]:
    """The first videos of a user's ladder."""
    assert bridge.app.corrections is not None
    given = bridge.app.corrections.of(user_id)
    steps = await bridge.app.lists.ladder(Viewer(user_id), Conditions(), given, FallbackReason.UNAVAILABLE, 1.0)
    return list(choose(steps, Conditions(), 3, 3).rung.video_ids)


async def test_a_running_bridge_obeys_within_its_poll(start_bridge: StartBridge, tmp_path: Path) -> None:
    async with start_bridge("127.0.0.1:1", corrections_poll_ms=50) as bridge:
        database = Database(f"sqlite:///{tmp_path / 'feed.db'}")
        assert await trending(bridge, "u1") == ["t00", "t01", "t02"]
        block = await add(database, Rule("BLOCK", video_id="t00"))
        await add(database, Rule("BOOST", "u2", "t39", value=50.0))
        await until(lambda: trending(bridge, "u1"), ["t01", "t02", "t03"])
        await until(lambda: trending(bridge, "u2"), ["t39", "t01", "t02"])
        assert bridge.metric("feed_bridge_corrections") == 2
        assert bridge.metric("feed_bridge_corrections_age_seconds") < 5
        await switch_off(database, block)
        await until(lambda: trending(bridge, "u1"), ["t00", "t01", "t02"])
        await database.close()


async def test_corrections_can_be_left_alone(start_bridge: StartBridge) -> None:
    async with start_bridge("127.0.0.1:1", corrections_poll_ms=0) as bridge:
        assert bridge.app.corrections is None


async def test_what_is_blocked_leaves_pages_of_trending_and_scrolls_under_way(
    start_bridge: StartBridge, scorer: FakeScorer, tmp_path: Path
) -> None:
    async with start_bridge(scorer.target, corrections_poll_ms=50) as bridge:
        database = Database(f"sqlite:///{tmp_path / 'feed.db'}")
        first = await bridge.page()
        second = await bridge.page(page_token=first.next_page_token)
        gone = second.recommendations[3].video_id
        for video_id in (gone, "t01"):
            await add(database, Rule("BLOCK", video_id=video_id))

        async def known() -> float:
            return bridge.metric("feed_bridge_corrections")

        await until(known, 2.0)
        again = await bridge.page(page_token=first.next_page_token)
        assert [item.video_id for item in again.recommendations[:4]] == [
            item.video_id for item in second.recommendations[:5] if item.video_id != gone
        ]
        scorer.take("acts = [{ empty = true }]")
        page = await bridge.page(user_id="u2", page_size=3)
        assert [item.video_id for item in page.recommendations] == ["t00", "t02", "t03"]
        await database.close()
