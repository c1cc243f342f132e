"""Users' newest interactions read from both databases."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from bridge.adapters.recent_database import DatabaseRecent
from bridge.ports import ListError
from storage.database import Database, sync_engine
from storage.tables import user_interactions

TIME = datetime(2025, 9, 1, 12, tzinfo=UTC)


def insert(url: str, *names: str) -> None:
    """Likes of these videos, and a rating of the last one."""
    rows = [
        {
            "event_id": f"{name:0>36}",
            "user_id": "u1",
            "video_id": name,
            "interaction_type": "RATE" if name == names[-1] else "LIKE",
            "watch_time_s": 1.5,
            "event_time": TIME,
            "ingest_time": TIME,
            "rating": 8.0 if name == names[-1] else None,
        }
        for name in names
    ]
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.insert(user_interactions), rows)
    engine.dispose()


async def test_rows_come_in_order(database_url: str) -> None:
    database = Database(database_url)
    reader = DatabaseRecent(database)
    assert (await reader.newest_row(), list(await reader.rows_after(0, 500))) == (0, [])
    insert(database_url, *(f"v{number}" for number in range(600)))

    first = await reader.rows_after(0, 500)
    second = await reader.rows_after(first[-1].row, 500)
    some = await reader.rows_of([second[0].row, 1_000_000, first[3].row])
    await database.close()

    assert some == [first[3], second[0]]
    assert len(first) == 500
    found = [*first, *second]
    assert [each.video_id for each in found] == [f"v{number}" for number in range(600)]
    rows = [each.row for each in found]
    assert rows == sorted(set(rows))
    assert found[0][1:] == ("u1", "v0", "LIKE", 1.5, TIME.timestamp(), None)
    assert found[-1][1:] == ("u1", "v599", "RATE", 1.5, TIME.timestamp(), 8.0)


async def test_a_database_that_cannot_be_read_is_an_error_of_the_port() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(ListError):
        await DatabaseRecent(database).newest_row()
    with pytest.raises(ListError):
        await DatabaseRecent(database).rows_after(0, 500)
    with pytest.raises(ListError):
        await DatabaseRecent(database).rows_of([1])
    await database.close()
