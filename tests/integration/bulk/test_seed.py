"""The simulated data, on both kinds of database."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from interactions.bulk.seed import seed_database
from interactions.bulk.simulation import Simulation, Size
from storage.database import sync_engine
from storage.tables import trending, user_interactions, users, videos

UNTIL = datetime(2026, 5, 1, 12, tzinfo=UTC)
SIZE = Size(users=50, videos=100, days=3)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sync_engine(database_url)
    yield engine
    engine.dispose()


def contents(engine: sa.Engine, table: sa.Table) -> list[tuple[Any, ...]]:
    columns = [column for column in table.columns if column.name != "id"]
    with engine.connect() as connection:
        return sorted((tuple(row) for row in connection.execute(sa.select(*columns))), key=repr)


def test_the_database_gets_the_simulated_rows_and_a_second_run_adds_none(engine: sa.Engine) -> None:
    seen: list[int] = []
    simulated = Simulation(SIZE, 7, UNTIL)
    first = seed_database(engine, SIZE, 7, UNTIL, seen.append)
    before = {table.name: contents(engine, table) for table in (users, videos, user_interactions, trending)}
    second = seed_database(engine, SIZE, 7, UNTIL, seen.append)
    assert before == {table.name: contents(engine, table) for table in (users, videos, user_interactions, trending)}
    written = first.tables["user_interactions"].written
    assert (len(before["user_interactions"]), seen) == (written, [written, written])
    assert [second.tables[name].written for name in ("users", "videos", "user_interactions")] == [0, 0, 0]
    assert {row[0] for row in before["user_interactions"]} == {row[0] for row in simulated.interaction_rows()}
    assert (len(before["users"]), len(before["videos"])) == (50, 100)


def test_the_summary_says_that_it_is_simulated(engine: sa.Engine) -> None:
    assert "SIMULATED" in seed_database(engine, SIZE, 7, UNTIL, lambda _: None).title


def test_trending_has_everybody_each_country_and_each_language(engine: sa.Engine) -> None:
    seed_database(engine, SIZE, 7, UNTIL, lambda _: None)
    with engine.connect() as connection:
        by_segment = sa.select(trending.c.segment, sa.func.sum(trending.c.weight)).group_by(trending.c.segment)
        sums = dict(map(tuple, connection.execute(by_segment)))
    everybody = sums.pop("global")
    by_language = {segment: sums.pop(segment) for segment in list(sums) if segment.startswith("lang:")}
    assert set(by_language) <= {"lang:en", "lang:de", "lang:fr", "lang:pt"}
    assert set(sums) <= {"US", "GB", "DE", "FR", "BR"}
    assert sum(sums.values()) == pytest.approx(everybody)
    assert sum(by_language.values()) == pytest.approx(everybody)
    assert by_language["lang:en"] == pytest.approx(sums["US"] + sums["GB"])
