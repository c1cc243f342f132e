"""Migrations with data: forward and back, one by one."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from typer.testing import CliRunner

from deploy.cli import app
from storage.database import UnknownRevisionError, downgrade, reading, sync_engine, upgrade
from storage.tables import metadata

TIME: Final = datetime(2026, 5, 1, tzinfo=UTC)
FIRST, LAST = 1, 11
# What these take away is made anew by `upgrade`, empty: until then nothing had written into it.
REMADE = {3: {"feed_cache"}, 4: {"experiments"}, 5: {"prediction_outcomes"}}


@pytest.fixture
def full(database_url: str) -> str:
    """A database with a row in each table."""
    engine = sync_engine(database_url)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            row = {column.name: _value(column) for column in table.c if column.autoincrement is not True}
            connection.execute(table.insert(), row)
    engine.dispose()
    return database_url


# The first that fits: a string is no number, a whole number no fraction.
VALUES: Final = (
    (sa.Boolean, True),
    (sa.Integer, 1),
    (sa.Float, 0.5),
    (sa.String, "x"),
    (sa.JSON, {"a": ["b"]}),
    (sa.Date, TIME.date()),
    (sa.LargeBinary, b"x"),
)


def _value(column: sa.Column[Any]) -> Any:
    return next((value for kind, value in VALUES if isinstance(column.type, kind)), TIME)


def test_each_migration_goes_back_and_forward_and_keeps_the_rows(full: str):
    before = _rows(full)
    assert set(before) == {table.name for table in metadata.sorted_tables}
    assert set(before.values()) == {1}
    for number in range(LAST, FIRST, -1):
        held = _rows(full)
        downgrade(full, f"{number - 1:04}")
        left = {name: count for name, count in _rows(full).items() if name not in REMADE.get(number, ())}
        assert left.items() <= held.items(), number
    upgrade(full)
    kept = left.keys() - set().union(*REMADE.values())
    assert {name: left[name] for name in kept}.items() <= _rows(full).items()
    engine = sync_engine(full)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_back_to_a_migration_that_is_not_there_changes_nothing(full: str):
    before = _rows(full)
    with pytest.raises(UnknownRevisionError):
        downgrade(full, "9999")
    assert _rows(full) == before


def test_the_command_asks_before_it_drops_anything(full: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEED_DATABASE_URL", full)
    before = _rows(full)
    assert CliRunner().invoke(app, ["db", "downgrade", "0010"], input="n\n").exit_code == 1
    assert _rows(full) == before
    assert CliRunner().invoke(app, ["db", "downgrade", "0010", "--yes"]).exit_code == 0
    assert set(_rows(full)) < set(before)
    wrong = CliRunner().invoke(app, ["db", "downgrade", "9999", "--yes"])
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "there is no migration 9999 to go back to: give one of storage/migrations/versions\n",
    )


def _rows(url: str) -> dict[str, int]:
    """Returns how many rows each table has."""
    engine = sync_engine(url)
    with reading(engine) as connection:
        names = [name for name in sa.inspect(connection).get_table_names() if name != "alembic_version"]
        counts = {name: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))) for name in names}
    engine.dispose()
    return {name: count or 0 for name, count in counts.items()}
