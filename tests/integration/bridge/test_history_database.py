"""Users' histories read from both databases, each as one text."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bridge.adapters.history_database import DatabaseHistory, DatabasePages
from bridge.domain.history import FollowedPage, HistoryPolicy, OlderHistory, Rule
from bridge.fakes import FakeClock, Recorder
from bridge.history import KeptHistory
from bridge.ports import ListError
from storage.database import Database, sync_engine
from storage.quick_select import QuickSelect, parameter
from storage.tables import feed_cache, user_interactions
from tests.integration.bridge.conftest import RunningBridge, StartBridge, execute, lose_database
from tests.polling import until

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SINCE = NOW - DAY

WINDOWS_S = {
    Rule.WATCHED: 30 * DAY.total_seconds(),
    Rule.SKIPPED: 10 * DAY.total_seconds(),
    Rule.HIDDEN: 365 * DAY.total_seconds(),
    Rule.SERVED: DAY.total_seconds(),
}


def did(
    name: str, age: timedelta, interaction_type: str = "VIEW", *, user_id: str = "u1", stored: timedelta | None = None
) -> dict[str, Any]:
    return {
        "event_id": f"{user_id}/{interaction_type}/{name}",
        "user_id": user_id,
        "video_id": name,
        "interaction_type": interaction_type,
        "watch_time_s": 1.0,
        "event_time": NOW - age,
        "ingest_time": NOW - (age if stored is None else stored),
    }


def page(name: str, age: timedelta, *video_ids: str, user_id: str = "u1") -> dict[str, Any]:
    return {
        "recommendation_id": name,
        "feed_session_id": "s1",
        "first_position": 1,
        "user_id": user_id,
        "algorithm": "lightfm-warp",
        "source": "lightfm",
        "fallback_reason": "none",
        "video_ids": list(video_ids),
        "scores": [1.0 for _ in video_ids],
        "created_at": NOW - age,
        "expires_at": NOW - age + DAY,
    }


def insert(url: str, table: sa.Table, *rows: dict[str, Any]) -> None:
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.insert(table), list(rows))
    engine.dispose()


async def newer(url: str, windows_s: dict[Rule, float]) -> set[str]:
    database = Database(url)
    found = await DatabaseHistory(database, windows_s).newer("u1", NOW.timestamp(), SINCE.timestamp())
    await database.close()
    return set(found.split("\n")) if found else set()


async def older(url: str, windows_s: dict[Rule, float], trained: datetime) -> OlderHistory:
    database = Database(url)
    reader = DatabaseHistory(database, windows_s)
    found = await reader.older("u1", NOW.timestamp(), SINCE.timestamp(), trained.timestamp())
    await database.close()
    return found


async def test_the_newer_part_is_what_the_rules_say(database_url: str) -> None:
    assert await newer(database_url, WINDOWS_S) == set()
    types = ("VIEW", "LIKE", "SHARE", "COMMENT", "FOLLOW", "RATE", "SKIP", "HIDE", "CLICK")
    insert(
        database_url,
        user_interactions,
        *(did(name.lower(), HOUR, name) for name in types),
        did("view", 2 * HOUR, "LIKE"),
        did("old", DAY + HOUR),
        did("foreign", HOUR, user_id="u2"),
        # Late: not in what was made of the rows a day ago, though it happened before.
        did("late", DAY + 2 * HOUR, stored=timedelta()),
    )
    insert(
        database_url,
        feed_cache,
        page("r1", HOUR, "p1", "p2"),
        page("r2", DAY - HOUR, "p3"),
        page("r3", DAY + HOUR, "expired"),
        page("r4", HOUR, "foreign", user_id="u2"),
    )
    all_of_it = {name.lower() for name in types} - {"click"} | {"late", "p1", "p2", "p3"}
    assert await newer(database_url, WINDOWS_S) == all_of_it
    assert await newer(database_url, {Rule.SERVED: 2 * HOUR.total_seconds()}) == {"p1", "p2"}
    assert await newer(database_url, {Rule.HIDDEN: DAY.total_seconds()}) == {"hide"}


async def test_the_older_part_is_parted_at_the_training(database_url: str) -> None:
    assert await older(database_url, WINDOWS_S, NOW) == OlderHistory("", "")
    insert(
        database_url,
        user_interactions,
        did("newer", HOUR),
        did("untrained", 2 * DAY),
        did("late", 5 * DAY + HOUR, stored=HOUR),
        did("trained", 9 * DAY),
        did("trained-skip", 9 * DAY, "SKIP"),
        did("skipped-long-ago", 11 * DAY, "SKIP"),
        did("watched-long-ago", 31 * DAY),
        did("hidden", 300 * DAY, "HIDE"),
    )
    found = await older(database_url, WINDOWS_S, NOW - 5 * DAY)
    assert set(found.known.split("\n")) == {"trained", "trained-skip", "hidden"}
    assert set(found.beyond.split("\n")) == {"untrained", "late"}
    unknown = await older(database_url, WINDOWS_S, datetime.fromtimestamp(0, UTC))
    assert (unknown.known, len(unknown.beyond.split("\n"))) == ("", 5)
    assert await older(database_url, {Rule.SERVED: 1.0}, NOW) == OlderHistory("", "")


async def test_nothing_falls_between_the_parts(database_url: str) -> None:
    names = [f"v{number:03}" for number in range(400)]
    insert(database_url, user_interactions, *(did(name, number * HOUR / 6) for number, name in enumerate(names)))
    database = Database(database_url)
    clock = FakeClock(now=0.0, wall_offset=NOW.timestamp())
    policy = HistoryPolicy(WINDOWS_S, wait_s=20.0, whole_wait_s=20.0)
    history = KeptHistory(DatabaseHistory(database, WINDOWS_S), policy, clock, Recorder())
    assert set(await history.whole("u1", left_s=60.0)) == set(names)
    history.trained_until((NOW - 2 * DAY).timestamp())
    assert set(history.beyond_model("u1").split("\n")) == set(names)
    await database.close()


async def test_no_more_than_the_newest_are_read(database_url: str) -> None:
    insert(database_url, user_interactions, *(did(f"v{number}", HOUR / 2, "VIEW") for number in range(2)))
    pages = [page(f"r{number}", number * timedelta(minutes=1), f"p{number}") for number in range(101)]
    insert(database_url, feed_cache, *pages)
    found = await newer(database_url, WINDOWS_S)
    assert found == {"v0", "v1", *(f"p{number}" for number in range(100))}


async def test_served_pages_come_in_their_order(database_url: str) -> None:
    database = Database(database_url)
    reader = DatabasePages(database)
    assert (await reader.newest_row(), list(await reader.rows_after(0, 250))) == (0, [])
    insert(database_url, feed_cache, *(page(f"r{number}", HOUR, f"p{number}", "x") for number in range(300)))
    first = await reader.rows_after(0, 250)
    second = await reader.rows_after(first[-1].row, 250)
    newest = await reader.newest_row()
    some = await reader.rows_of([second[0].row, 1_000_000, first[3].row])
    await database.close()

    assert some == [first[3], second[0]]
    assert len(first) == 250
    found = [*first, *second]
    assert [json.loads(each.video_ids) for each in found] == [[f"p{number}", "x"] for number in range(300)]
    assert (first[0], newest) == (FollowedPage(1, "u1", first[0].video_ids), 300)


NOBODY = "127.0.0.1:1"
# A busy test machine may take its time to read.
PATIENT = {"history_timeout_ms": 1000, "seen_served_h": 24}


def now_did(name: str, interaction_type: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return did(name, HOUR, interaction_type) | {"event_time": now, "ingest_time": now}


def now_page(name: str, *video_ids: str) -> dict[str, Any]:
    return page(name, HOUR, *video_ids) | {"created_at": datetime.now(UTC)}


async def fresh(bridge: RunningBridge) -> set[str]:
    """The videos of a new feed of ten; no scorer serves it."""
    return {each.video_id for each in (await bridge.page(page_size=10)).recommendations}


async def test_no_rung_brings_back_what_was_seen_or_sent(start_bridge: StartBridge, tmp_path: Path) -> None:
    async with start_bridge(NOBODY, seen_served_h=0) as bridge:
        trending = await fresh(bridge)
        assert await fresh(bridge) == trending == {f"t{number:02}" for number in range(10)}
    seen = [now_did("t00", "VIEW"), now_did("t01", "SKIP"), now_did("t02", "HIDE"), now_did("t03", "CLICK")]
    execute(tmp_path, sa.insert(user_interactions).values(seen), sa.insert(feed_cache).values(now_page("r1", "t04")))
    async with start_bridge(NOBODY, **PATIENT) as bridge:
        first = await fresh(bridge)
        assert first == {"t03", *(f"t{number:02}" for number in range(5, 14))}
        lose_database(tmp_path)
        assert await fresh(bridge) == {f"t{number:02}" for number in range(14, 24)}, "nor what was just served"


async def test_what_is_seen_and_sent_elsewhere_is_known_to_the_next_page(
    start_bridge: StartBridge, tmp_path: Path
) -> None:
    async with start_bridge(NOBODY, **PATIENT) as bridge:
        assert "t10" not in await fresh(bridge)
        execute(tmp_path, sa.insert(feed_cache).values(now_page("r1", *(f"t{number:02}" for number in range(10, 20)))))
        execute(tmp_path, sa.insert(user_interactions).values(now_did("t20", "HIDE")))

        async def known() -> bool:
            seen = await bridge.app.history.of("u1", 1.0) if bridge.app.history else set()
            return {"t10", "t19", "t20"} <= set(seen)

        await until(known, expected=True)
        assert await fresh(bridge) == {f"t{number:02}" for number in range(21, 31)}


async def test_a_database_that_cannot_be_read_is_an_error_of_the_port() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    reader, pages = DatabaseHistory(database, WINDOWS_S), DatabasePages(database)
    for asked in (
        reader.newer("u1", 1.0, 0.0),
        reader.older("u1", 1.0, 0.0, 0.0),
        pages.newest_row(),
        pages.rows_after(0, 250),
        pages.rows_of([1]),
    ):
        with pytest.raises(ListError):
            await asked
    await database.close()


async def test_a_read_that_is_refused_costs_its_connection_and_no_other_read(database_url: str) -> None:
    """The driver's own errors come from beneath SQLAlchemy; its connection goes, whatever state it is in."""
    database = Database(database_url, pool_size=1)
    missing = QuickSelect(sa.select(sa.literal_column("1")).select_from(sa.table("missing")))
    for _ in range(3):
        with pytest.raises(sa.exc.DBAPIError):
            await missing.rows(database, {})
    wanted = QuickSelect(sa.select(parameter("name"), sa.literal(3)))
    assert [tuple(row) for row in await wanted.rows(database, {"name": "a"})] == [("a", 3)]
    await database.close()
