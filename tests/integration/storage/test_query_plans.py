"""By which index served videos are looked up on SQLite: by the one that leads to fewest of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import analytics, correction_effect, decisions, ledger, outcome_answers
from storage.correction_effect import Meant, OutcomeNames
from storage.correction_rules import Rule
from storage.database import Database, upgrade

Ask = Callable[[AsyncConnection], Awaitable[object]]

PAGE = "(recommendation_id=?"
BEGIN: Final = datetime(2026, 11, 1, tzinfo=UTC)
NAMES: Final = OutcomeNames(["liked"], ["hidden"], ["pending"])
PARTS: Final = [(BEGIN + timedelta(hours=hour), BEGIN + timedelta(hours=hour, minutes=1)) for hour in range(3)]


def accepted(connection: AsyncConnection) -> Awaitable[object]:
    return outcome_answers.acceptance(connection, ["liked"], BEGIN.date(), user_id="u1", algorithm="trending")


def effect(rule: Rule, *video_ids: str) -> Ask:
    return lambda connection: correction_effect.counts(connection, Meant(rule, video_ids or None), NAMES, PARTS)


@pytest.mark.parametrize(
    ("ask", "key"),
    [
        pytest.param(lambda connection: ledger.entries(connection, [("r1", "v1")]), PAGE, id="what a claim is about"),
        pytest.param(
            lambda connection: analytics.consumed_between(connection, 0, 10, ["VIEW"]), PAGE, id="what was consumed"
        ),
        pytest.param(
            lambda connection: decisions.read_decision(connection, "r1", "u1", "v1"), PAGE, id="an explanation"
        ),
        pytest.param(accepted, "(user_id=? AND created_at>?", id="what a user accepted of an algorithm"),
        pytest.param(
            effect(Rule("BLOCK", video_id="v1")), "(video_id=? AND created_at>? AND created_at<?", id="a video's effect"
        ),
        pytest.param(
            effect(Rule("BOOST", target_factor="tag", target_value="t", value=1.0), "v1", "v2"),
            "(video_id=? AND created_at>? AND created_at<?",
            id="a tag's effect",
        ),
        pytest.param(
            effect(Rule("REWEIGHT", "u1", target_factor="prior", value=0.5)),
            "(user_id=? AND created_at>? AND created_at<?",
            id="an effect on a user",
        ),
        pytest.param(
            effect(Rule("REWEIGHT", target_factor="prior", value=0.5)),
            "(created_at>? AND created_at<?",
            id="an effect on everybody",
        ),
    ],
)
async def test_served_videos_are_looked_up_where_fewest_are(tmp_path: Path, ask: Ask, key: str) -> None:
    url = f"sqlite:///{tmp_path / 'feed.db'}"
    upgrade(url)
    database = Database(url)
    asked: list[tuple[str, Any]] = []
    sa.event.listen(
        database.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, given, *_: asked.append((statement, given)),
    )
    async with database.read() as connection:
        await ask(connection)
        statement, given = asked[-1]
        plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)).all()
    await database.close()
    steps = [str(row[-1]) for row in plan if "decision" in str(row[-1])]
    assert steps
    assert all(key in step for step in steps), steps
