"""By which index served videos are looked up: by their page, of which there are few, and not by video or user."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import analytics, decisions, ledger
from storage.database import Database, upgrade

Ask = Callable[[AsyncConnection], Awaitable[object]]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda connection: ledger.entries(connection, [("r1", "v1")]), id="what a claim is about"),
        pytest.param(
            lambda connection: analytics.consumed_between(connection, 0, 10, ["VIEW"]), id="what was consumed"
        ),
        pytest.param(lambda connection: decisions.read_decision(connection, "r1", "u1", "v1"), id="an explanation"),
    ],
)
async def test_a_served_video_is_looked_up_by_its_page(tmp_path: Path, ask: Ask) -> None:
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
    assert all("(recommendation_id=?" in step for step in steps), steps
