"""The bulk insert, on both kinds of database."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from interactions.bulk import loader
from interactions.bulk.rows import Row
from storage.database import sync_engine
from storage.tables import user_interactions, videos

TIME = datetime(2026, 5, 1, 12, 0, 0, 5000, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sync_engine(database_url)
    yield engine
    engine.dispose()


def interaction(event_id: str, user_id: str = "u1", metadata: str | None = None) -> Row:
    return (event_id, user_id, "v1", "VIEW", 1.5, TIME, TIME, None, 3, metadata)


def insert(engine: sa.Engine, *rows: Row) -> int:
    with engine.begin() as connection:
        return loader.insert_rows(connection, loader.INTERACTIONS, rows)


def test_rows_that_are_there_stay_and_are_not_counted(engine: sa.Engine) -> None:
    assert insert(engine, interaction("a"), interaction("b"), interaction("a", "other")) == 2
    assert insert(engine, interaction("b", "other"), interaction("c")) == 1
    with engine.connect() as connection:
        found = connection.execute(sa.select(user_interactions.c.event_id, user_interactions.c.user_id)).all()
    assert sorted(map(tuple, found)) == [("a", "u1"), ("b", "u1"), ("c", "u1")]


def test_nothing_to_insert_is_no_error(engine: sa.Engine) -> None:
    assert insert(engine) == 0


def test_values_read_back_as_they_were_written(engine: sa.Engine) -> None:
    insert(engine, interaction("a", "tab\tnewline\nback\\slash ünï", '{"a":[1,null]}'))
    columns = user_interactions.c
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(columns.user_id, columns.event_time, columns.feed_session_id, columns.position, columns.metadata)
        ).one()
    assert tuple(row) == ("tab\tnewline\nback\\slash ünï", TIME, None, 3, {"a": [1, None]})


def test_times_compare_with_those_that_the_services_write(engine: sa.Engine) -> None:
    insert(engine, interaction("bulk"))
    columns = user_interactions.c
    with engine.begin() as connection:
        values = {"user_id": "u1", "video_id": "v1", "interaction_type": "VIEW", "watch_time_s": 1.0}
        connection.execute(
            sa.insert(user_interactions).values(event_id="service", event_time=TIME, ingest_time=TIME, **values)
        )
    with engine.connect() as connection:
        same = sa.select(columns.event_id).where(columns.event_time == TIME).order_by(columns.event_id)
        assert connection.scalars(same).all() == ["bulk", "service"]


def test_a_refused_row_leaves_nothing_of_its_transaction(engine: sa.Engine) -> None:
    with pytest.raises(Exception, match=r"(?i)null"), engine.begin() as connection:
        loader.insert_rows(connection, loader.INTERACTIONS, [interaction("a")])
        loader.insert_rows(connection, loader.VIDEOS, [("v1", "", "", None, None, "", "", None, True)])
    with engine.connect() as connection:
        assert not loader.has_interactions(connection)
        assert connection.scalar(sa.select(sa.func.count()).select_from(videos)) == 0
