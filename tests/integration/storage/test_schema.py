"""The schema, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from storage.database import Database, UnreachableDatabaseError, reading, sync_engine, upgrade
from storage.dialect import insert_ignore, upsert
from storage.tables import metadata, trending, users, videos


def test_migrations_make_exactly_the_declared_tables(database_url: str):
    engine = sync_engine(database_url)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_upgrade_is_safe_to_repeat_and_keeps_rows(database_url: str):
    engine = sync_engine(database_url)
    with engine.begin() as connection:
        connection.execute(users.insert(), {"user_id": "u1", "features": {}, "personalised": True})
    upgrade(database_url)
    with reading(engine) as connection:
        assert connection.execute(sa.select(users.c.user_id)).scalars().all() == ["u1"]
    engine.dispose()


async def test_times_come_back_as_the_same_instant_in_utc(database_url: str):
    tokyo = datetime(2026, 5, 1, 9, 30, tzinfo=timezone(timedelta(hours=9)))
    database = Database(database_url)
    async with database.begin() as connection:
        await connection.execute(
            videos.insert(), {"video_id": "v1", "tags": ["a"], "is_active": True, "published_at": tokyo}
        )
    async with database.read() as connection:
        row = (await connection.execute(sa.select(videos.c.published_at, videos.c.tags))).one()
    await database.close()
    assert row == (datetime(2026, 5, 1, 0, 30, tzinfo=UTC), ["a"])
    assert row.published_at.tzinfo == UTC


async def test_a_naive_time_is_refused(database_url: str):
    database = Database(database_url)
    with pytest.raises(sa.exc.StatementError, match="without a zone"):
        async with database.begin() as connection:
            await connection.execute(
                videos.insert(),
                {"video_id": "v1", "tags": [], "is_active": True, "published_at": datetime(2026, 5, 1)},  # noqa: DTZ001
            )
    await database.close()


async def test_a_failed_transaction_leaves_nothing(database_url: str):
    database = Database(database_url)
    with pytest.raises(RuntimeError):
        async with database.begin() as connection:
            await connection.execute(users.insert(), {"user_id": "u1", "features": {}, "personalised": True})
            raise RuntimeError
    async with database.read() as connection:
        assert (await connection.execute(sa.select(users))).all() == []
    await database.close()


async def test_insert_ignore_keeps_the_first_and_upsert_the_last(database_url: str):
    database = Database(database_url)
    bucket = datetime(2026, 5, 1, tzinfo=UTC)
    key = {"segment": "global", "bucket": bucket, "video_id": "v1"}
    names = ("segment", "bucket", "video_id")
    async with database.begin() as connection:
        dialect = connection.dialect.name
        for weight in (1.0, 2.0):
            await connection.execute(insert_ignore(trending, dialect, names), {**key, "weight": weight})
        first = (await connection.execute(sa.select(trending.c.weight))).scalar_one()
        await connection.execute(upsert(trending, dialect, names, ["weight"]), {**key, "weight": 3.0})
        last = (await connection.execute(sa.select(trending.c.weight))).scalar_one()
    await database.close()
    assert (first, last) == (1.0, 3.0)


def test_a_database_that_cannot_be_reached_is_named_without_its_password():
    with pytest.raises(UnreachableDatabaseError, match=r"feed:\*\*\*@127\.0\.0\.1:1/none") as caught:
        upgrade("postgresql://feed:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)
