"""The import, on both kinds of database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interactions.bulk import kuairand
from interactions.bulk.csv_source import SourceError
from interactions.bulk.report import Summary, Tally
from storage.database import sync_engine
from storage.tables import import_progress, trending, user_interactions, users, videos

NOW = datetime(2026, 1, 1, tzinfo=UTC)
T0 = datetime(2022, 4, 24, 15, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sync_engine(database_url)
    yield engine
    engine.dispose()


class KilledError(Exception):
    """Stands for the end of the process."""


class KillAfter:
    """A progress hook that ends the run when it is called for the nth time."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def __call__(self, _name: str, _done: int, _total: int) -> None:
        self._left -= 1
        if self._left == 0:
            raise KilledError


def run(directory: Path, engine: sa.Engine, hook: kuairand.OnProgress = KillAfter(0), lines: int = 2) -> Summary:  # noqa: B008
    return kuairand.import_directory(directory, engine, NOW, hook, lines_at_a_time=lines)


def rows(engine: sa.Engine, *columns: sa.Column[Any]) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return sorted((tuple(row) for row in connection.execute(sa.select(*columns))), key=repr)


INTERACTION = user_interactions.c
WHAT = (INTERACTION.user_id, INTERACTION.video_id, INTERACTION.interaction_type, INTERACTION.watch_time_s)


def test_every_row_arrives_as_documented(data_set: Path, engine: sa.Engine) -> None:
    summary = run(data_set, engine)
    last_1, last_2 = datetime(2022, 4, 22, 4, tzinfo=UTC), datetime(2022, 4, 22, 5, tzinfo=UTC)
    assert rows(engine, *WHAT, INTERACTION.event_time) == sorted(
        [
            ("1", "10", "VIEW", 40.0, T0),
            ("1", "10", "CLICK", 0.0, T0),
            ("1", "10", "LIKE", 0.0, T0),
            ("2", "10", "VIEW", 10.0, T0 + timedelta(minutes=1)),
            ("2", "11", "VIEW", 5.0, T0 + timedelta(hours=1)),
            ("2", "11", "SHARE", 0.0, T0 + timedelta(hours=1)),
            ("1", "12", "SKIP", 0.0, T0 + timedelta(hours=1, minutes=1)),
            ("1", "12", "HIDE", 0.0, T0 + timedelta(hours=1, minutes=1)),
            ("1", "12", "VIEW", 0.0, last_1),
            ("2", "11", "VIEW", 0.0, last_2),
            ("1", "10", "LIKE", 0.0, last_1),
            ("1", "10", "VIEW", 20.0, last_1),
        ],
        key=repr,
    )
    assert summary.tables["user_interactions"] == Tally(written=12, known=3)


def test_nothing_comes_of_who_does_not_want_to_be_known_or_from_before_an_erasure(
    data_set: Path, engine: sa.Engine
) -> None:
    unknown = {"user_id": "1", "features": {}, "personalised": False, "erased_at": None}
    came_back = {"user_id": "2", "features": {}, "personalised": True, "erased_at": T0 + timedelta(minutes=30)}
    with engine.begin() as connection:
        connection.execute(sa.insert(users), [unknown, came_back])
    summary = run(data_set, engine)
    assert rows(engine, *WHAT) == [("2", "11", "SHARE", 0.0), ("2", "11", "VIEW", 5.0)]
    assert summary.tables["user_interactions"].written == 2
    assert summary.withheld > 0
    assert rows(engine, users.c.user_id, users.c.personalised) == [("1", False), ("2", True)]


def test_the_catalogue_arrives(data_set: Path, engine: sa.Engine) -> None:
    run(data_set, engine)
    assert rows(engine, videos.c.video_id, videos.c.duration_s, videos.c.tags, videos.c.is_active) == [
        ("10", 20.0, ["1", "2"], True),
        ("11", None, [], True),
        ("12", 10.0, ["3"], False),
    ]
    assert rows(engine, users.c.user_id, users.c.features, users.c.personalised) == [
        ("1", {"age": "30"}, True),
        ("2", {}, True),
    ]


def test_metadata_says_where_a_row_is_from(data_set: Path, engine: sa.Engine) -> None:
    run(data_set, engine)
    views = sa.and_(INTERACTION.interaction_type == "VIEW", INTERACTION.video_id == "10")
    with engine.connect() as connection:
        found = connection.scalars(sa.select(INTERACTION.metadata).where(views).order_by(INTERACTION.event_time)).all()
    assert found == [
        {"import": "history", "kind": "long_view"},
        {"import": "kuairand", "long_view": 1},
        {"import": "kuairand", "long_view": 0},
    ]


def test_bad_rows_are_reported_by_file_and_line(data_set: Path, engine: sa.Engine) -> None:
    assert run(data_set, engine).bad.shown == [
        "video_features_basic_pure.csv.gz:5: video_duration is 'ten', not a number",
        "user_features_pure.csv.gz:4: user_id is empty",
        "events.csv.gz:7: video_id '99' is unknown",
        "events.csv.gz:8: time_ms is -4, not in 0..4102444800000",
        "events.csv.gz:9: 2 columns, not 12",
        "history_users.csv.gz:4: user_id '9' is unknown",
        "history.csv.gz:7: back is 'x', not a whole number",
    ]


def test_trending_has_the_hourly_weights(data_set: Path, engine: sa.Engine) -> None:
    run(data_set, engine)
    hours = rows(engine, trending.c.bucket, trending.c.video_id, trending.c.segment, trending.c.weight)
    expected = [
        # A view of 20 s of 20 s in the history, and a like.
        (datetime(2022, 4, 22, 4, tzinfo=UTC), "10", "global", pytest.approx(0.1 + 0.7)),
        # Watched whole (40 s of 20 s counts once), clicked, liked; and half watched by another.
        (T0, "10", "global", pytest.approx(0.1 + 0.3 + 0.7 + 0.05)),
        # Watched, nobody knows how much of it; shared.
        (T0 + timedelta(hours=1), "11", "global", pytest.approx(0.1 + 1.0)),
    ]
    assert sorted(hours) == expected


def test_a_second_run_has_nothing_to_do(data_set: Path, engine: sa.Engine) -> None:
    first = run(data_set, engine)
    before = rows(engine, *user_interactions.c)
    second = run(data_set, engine)
    assert (first.already_done, second.already_done, second.tables) == (False, True, {})
    assert rows(engine, *user_interactions.c) == before


# Three calls are for the catalogue, then come three chunks of events and three of history.
@pytest.mark.parametrize("calls", [1, 4, 6, 9])
def test_a_killed_run_goes_on_and_ends_the_same(data_set: Path, engine: sa.Engine, calls: int) -> None:
    with pytest.raises(KilledError):
        run(data_set, engine, KillAfter(calls))
    summary = run(data_set, engine)
    assert not summary.already_done
    assert len(rows(engine, *WHAT)) == 12
    assert sorted(row[3] for row in rows(engine, *trending.c)) == pytest.approx([0.8, 1.1, 1.15])
    assert run(data_set, engine).already_done


def test_a_run_that_goes_on_does_not_read_what_is_loaded_again(data_set: Path, engine: sa.Engine) -> None:
    with pytest.raises(KilledError):
        run(data_set, engine, KillAfter(4))
    with engine.connect() as connection:
        progress = connection.execute(sa.select(import_progress.c.file, import_progress.c.next_line)).all()
    assert sorted(map(tuple, progress)) == [("events.csv.gz", 6)]
    # Of the 15 rows of the log, the four lines loaded before gave 8.
    assert run(data_set, engine).tables["user_interactions"].written == 12 - 6


def test_a_changed_file_is_another_import(data_set: Path, engine: sa.Engine) -> None:
    run(data_set, engine)
    path = data_set / "history.csv.gz"
    path.write_bytes(
        path.read_bytes() + b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    )
    summary = run(data_set, engine)
    assert not summary.already_done
    assert summary.tables["user_interactions"] == Tally(written=0, known=4)


def test_missing_files_are_named(data_set: Path, engine: sa.Engine) -> None:
    (data_set / "events.csv.gz").unlink()
    (data_set / "history.csv.gz").unlink()
    with pytest.raises(SourceError, match=r"is no KuaiRand folder: events\.csv\.gz, history\.csv\.gz not found there"):
        run(data_set, engine)
    assert rows(engine, *videos.c) == []
