"""The export on a real database: what is in the files, that they are the same again, and what the manifest says."""

import hashlib
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from runtime.lock_file import AlreadyRunningError, exclusive
from storage.database import sync_engine, upgrade
from storage.tables import user_interactions, users
from storage.training_data import DayCount, InteractionRow
from tests.integration.trainer.conftest import DAYS, FIRST_DAY, USERS, interaction
from trainer.adapters.export_parquet import ParquetExport
from trainer.adapters.log_duckdb import DuckDbLog
from trainer.adapters.parquet_files import ExportError, FileShape
from trainer.ports import SilentProgress
from trainer.service import Training

Jobs = Callable[..., Training]

FIRST = "dt=2025-09-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export" / "interactions"


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def day_name(day: int) -> str:
    return (FIRST_DAY + timedelta(days=day)).date().isoformat()


def put(engine: sa.Engine, events: Sequence[dict[str, Any]]) -> None:
    """Makes these the only interactions."""
    with engine.begin() as connection:
        connection.execute(sa.delete(user_interactions))
        for event in events:
            connection.execute(sa.insert(user_interactions), [event])


def row_of(number: int) -> InteractionRow:
    ids = (f"event-{number}", f"u{number}", f"v{number}")
    return InteractionRow(*ids, "VIEW", 1.0, 0, 0, None, None, None, None, None, None, None, None, None, True, True)


def shaped(job: Training, folder: Path, shape: FileShape) -> Training:
    return replace(job, export=ParquetExport(folder, shape))


def multiset(log: DuckDbLog) -> list[tuple[Any, ...]]:
    columns = (log.user_ids[log.user], log.video_ids[log.video], log.kind, log.watch_time_s, log.time_s)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def test_there_is_a_folder_a_day_and_a_manifest_that_says_what_it_holds(
    engine: sa.Engine, job_of: Jobs, folder: Path
) -> None:
    del engine
    job = job_of()
    assert job.export_days() == DAYS
    manifest = job.export.manifest()
    assert manifest.schema_version == 3
    assert list(manifest.days) == [day_name(day) for day in range(DAYS)]
    first = manifest.days[day_name(0)]
    (file,) = first.files
    path = folder / FIRST / file.name
    content = path.read_bytes()
    assert (file.rows, first.source_rows, file.bytes) == (USERS * 3, USERS * 3, len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    table = pq.ParquetFile(path).read()
    assert table.schema.metadata[b"feed.schema_version"] == b"3"
    assert table.column("event_time").to_pylist()[0].isoformat() == "2025-09-01T12:00:00+00:00"
    assert table.column("user_id").to_pylist()[:4] == ["u000"] * 3 + ["u001"]
    assert not list(folder.rglob(".*"))


def test_exporting_again_gives_the_same_bytes_and_only_what_changed(
    engine: sa.Engine, job_of: Jobs, folder: Path
) -> None:
    job = job_of()
    job.export_days()
    before = hashes(folder)
    assert job.export_days() == 0
    (folder / "manifest.json").unlink()
    assert job.export_days() == DAYS
    assert hashes(folder) == before
    with engine.begin() as connection:
        connection.execute(sa.insert(user_interactions), [interaction(900_000, 1, 1, 2)])
        connection.execute(
            sa.delete(user_interactions).where(user_interactions.c.event_time < FIRST_DAY + timedelta(days=1))
        )
    assert job.export_days() == 1
    after = hashes(folder)
    assert f"{FIRST}/part-00000.parquet" not in after
    changed = {name for name, digest in after.items() if before.get(name) != digest}
    assert changed == {"dt=2025-09-03/part-00000.parquet", "manifest.json"}


def test_the_bytes_depend_on_nothing_but_the_rows(
    engine: sa.Engine, job_of: Jobs, folder: Path, tmp_path: Path
) -> None:
    """Another database, of another kind and filled in another order, gives the same files."""
    ids = ["u", "U", "ä", "a-b", "ab", "_", "u 1"]
    told = {"feed_session_id": "s", "watch_time_s": 9.0}
    events = [
        interaction(number, 1, 1, 0, user_id=user_id, video_id=video_id, **changes)
        for number, (user_id, video_id, changes) in enumerate(
            (user_id, video_id, changes) for user_id in ids for video_id in ids for changes in ({}, {}, told, told)
        )
    ]
    put(engine, events)
    job_of().export_days()

    url = f"sqlite:///{tmp_path / 'other.db'}"
    upgrade(url)
    other = sync_engine(url)
    put(other, events[::-1])
    other.dispose()
    job_of(FEED_DATABASE_URL=url, FEED_DATA_DIR=str(tmp_path / "other")).export_days()
    assert hashes(folder / FIRST) == hashes(tmp_path / "other" / "export" / "interactions" / FIRST)


def test_a_large_day_is_cut_into_files_and_row_groups(engine: sa.Engine, job_of: Jobs, folder: Path) -> None:
    """25 rows a group, 100 a file; 360 rows a day."""
    del engine
    whole, cut = job_of(), shaped(job_of(), folder, FileShape(chunk_rows=5, group_chunks=5, file_groups=4))
    whole.export_days()
    expected = multiset(whole.export.read())
    (folder / "manifest.json").unlink()
    cut.export_days()
    files = cut.export.manifest().days[day_name(0)].files
    assert [(file.name, file.rows) for file in files] == [
        ("part-00000.parquet", 100),
        ("part-00001.parquet", 100),
        ("part-00002.parquet", 100),
        ("part-00003.parquet", 60),
    ]
    last = pq.ParquetFile(folder / FIRST / files[-1].name).metadata
    assert [last.row_group(group).num_rows for group in range(last.num_row_groups)] == [25, 25, 10]
    assert multiset(cut.export.read()) == expected


def test_repeated_views_of_a_session_merge_to_the_longest(engine: sa.Engine, job_of: Jobs, folder: Path) -> None:
    """Other rows of the user, video and session stay; so do views without a session, and those of another day."""
    told = {"feed_session_id": "s"}
    put(
        engine,
        [
            *(interaction(n, 1, 1, 0, watch_time_s=seconds, **told) for n, seconds in enumerate([3.0, 9.0, 6.0])),
            interaction(10, 1, 1, 0, watch_time_s=0.0, interaction_type="LIKE", **told),
            interaction(11, 1, 1, 0, watch_time_s=1.0),
            interaction(12, 1, 1, 0, watch_time_s=1.0),
            interaction(13, 1, 1, 1, watch_time_s=2.0, **told),
        ],
    )
    job = shaped(job_of(), folder, FileShape(chunk_rows=1))
    job.export_days()
    assert sorted(job.export.read().watch_time_s.tolist()) == [0.0, 1.0, 1.0, 2.0, 9.0]
    first = job.export.manifest().days[day_name(0)]
    assert (first.source_rows, first.quality.rows, first.quality.merged) == (6, 4, 2)


def test_the_export_has_what_the_client_told(engine: sa.Engine, job_of: Jobs, folder: Path) -> None:
    """The recommendation that an interaction followed is what makes it evidence for or against a model."""
    told = {
        "feed_session_id": "s",
        "recommendation_id": "r",
        "position": 3,
        "algorithm": "lightfm-warp",
        "model_version": "m1",
        "recommendation_score": 0.1 + 0.2,
        "experiments": [{"experiment": "ranker", "variant": "b"}],
        "rating": 7.5,
        "metadata": {"screen": "feed", "age": "2"},
    }
    put(engine, [interaction(1, 1, 1, 0, **told), interaction(2, 1, 1, 0)])
    job_of().export_days()
    bare, full = pq.ParquetFile(folder / FIRST / "part-00000.parquet").read().to_pylist()
    assert {name: full[name] for name in told} == told | {"metadata": [("age", "2"), ("screen", "feed")]}
    assert [bare[name] for name in told] == [None] * len(told)


def test_an_export_of_an_older_schema_is_made_again(engine: sa.Engine, job_of: Jobs, folder: Path) -> None:
    del engine
    job = job_of()
    job.export_days()
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 3', '"schema_version": 2'))
    assert job.export_days() == DAYS


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        pytest.param(2, 4, [2, 3, 4], id="from one day to another, both included"),
        pytest.param(6, None, [6, 7], id="from a day on"),
        pytest.param(None, 0, [0], id="up to a day"),
        pytest.param(3, 3, [3], id="one day"),
        pytest.param(90, None, [], id="a day without any"),
    ],
)
def test_only_the_wanted_days_are_exported(
    engine: sa.Engine, job_of: Jobs, since: int | None, until: int | None, expected: list[int]
) -> None:
    """An interaction of the last millisecond of a day is of that day."""
    with engine.begin() as connection:
        late = FIRST_DAY + timedelta(days=5) - timedelta(milliseconds=1)
        connection.execute(sa.insert(user_interactions), [interaction(900_000, 1, 1, 4, event_time=late)])
    job = job_of()
    bounds = [None if day is None else date.fromisoformat(day_name(day)) for day in (since, until)]
    assert job.export_days(*bounds) == len(expected)
    days = job.export.manifest().days
    assert list(days) == [day_name(day) for day in expected]
    assert {day: known.source_rows for day, known in days.items()} == {
        day_name(day): USERS * 3 + (day == 4) for day in expected
    }


def test_days_outside_the_wanted_ones_are_left_alone(engine: sa.Engine, job_of: Jobs, folder: Path) -> None:
    """Whatever has become of them in the database."""
    job = job_of()
    job.export_days()
    before = hashes(folder)
    put(engine, [interaction(1, 1, 1, 3)])
    assert job.export_days(date.fromisoformat(day_name(3)), date.fromisoformat(day_name(4))) == 1
    after = hashes(folder)
    assert before.keys() - after.keys() == {f"dt={day_name(4)}/part-00000.parquet"}
    changed = {name for name, digest in after.items() if before[name] != digest}
    assert changed == {f"dt={day_name(3)}/part-00000.parquet", "manifest.json"}


@pytest.mark.parametrize("damage", ["a byte more", "a byte changed", "gone"])
def test_a_damaged_file_is_named_by_who_reads_it_and_exported_again(
    engine: sa.Engine, job_of: Jobs, folder: Path, damage: str
) -> None:
    del engine
    job = job_of()
    job.export_days()
    before = hashes(folder)
    name = f"dt={day_name(1)}/part-00000.parquet"
    content = (folder / name).read_bytes()
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content + b"x" if damage == "a byte more" else b"X" + content[1:])
    with pytest.raises(ExportError, match=f"{name}.*feed trainer export"):
        job.export.read()
    assert job.export_days() == 1
    assert isinstance(job.progress, SilentProgress)
    assert job.progress.facts["damaged"] == {"file": name}
    assert hashes(folder) == before


def test_what_the_manifest_does_not_name_is_removed(engine: sa.Engine, job_of: Jobs, folder: Path) -> None:
    """An export that was killed leaves such folders."""
    del engine
    job = job_of()
    job.export_days()
    before = hashes(folder)
    for leftover in (".making-dt=2025-09-01", ".old-dt=2025-09-02", "dt=2024-01-01"):
        (folder / leftover).mkdir()
        (folder / leftover / "part-00000.parquet").write_bytes(b"PAR1")
    (folder / ".manifest.json").write_bytes(b"{")
    assert job.export_days() == 0
    assert hashes(folder) == before
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"dt={day_name(day)}" for day in range(DAYS)),
        "manifest.json",
    ]


def test_two_exports_never_overlap(engine: sa.Engine, job_of: Jobs, folder: Path, tmp_path: Path) -> None:
    del engine
    with exclusive(tmp_path / "export.lock", "export"), pytest.raises(AlreadyRunningError):
        job_of().export_days()
    assert not folder.exists()


def test_the_manifest_says_what_is_good_and_bad_about_a_day(engine: sa.Engine, job_of: Jobs) -> None:
    noon = FIRST_DAY + timedelta(hours=12)
    put(
        engine,
        [
            interaction(1, 1, 1, 0, event_time=noon, ingest_time=noon + timedelta(seconds=2), rating=1.0),
            interaction(2, 2, 1, 0, event_time=noon, ingest_time=noon + timedelta(seconds=3), interaction_type="LIKE"),
            interaction(3, 2, 999, 0, event_time=noon, ingest_time=noon - timedelta(seconds=4), feed_session_id="s"),
            interaction(4, 1, 1, 1),
            interaction(5, 1, 2, 1),
        ],
    )
    with engine.begin() as connection:
        row = {"user_id": "u001", "features": {}, "personalised": True}
        connection.execute(sa.insert(users), [row])
    job = job_of()
    job.export_days()
    manifest = job.export.manifest()
    first, second = manifest.qualities().values()
    assert (first.rows, first.merged, first.kinds) == (3, 0, {"LIKE": 1, "VIEW": 2})
    assert (first.unknown_users, first.unknown_videos, first.future, first.volume) == (2, 1, 1, None)
    assert (first.nulls["rating"], first.nulls["feed_session_id"], first.nulls["metadata"]) == (2, 2, 3)
    assert first.skew_median_s == pytest.approx(2, rel=0.011)
    assert first.skew_p99_s == pytest.approx(3, rel=0.011)
    assert second.volume == pytest.approx(2 / 3)
    assert (second.rows, second.skew_p99_s) == (2, 0.0)
    assert (manifest.quality.rows, manifest.quality.unknown_videos, manifest.quality.kinds) == (
        5,
        1,
        {"LIKE": 1, "VIEW": 4},
    )


def test_an_unannounced_user_makes_no_row_more(engine: sa.Engine, job_of: Jobs) -> None:
    """Whether ids are known is looked up beside the rows; it never adds or drops one."""
    put(engine, [interaction(n, n % 3, 900 + n % 2, 0) for n in range(12)])
    job = job_of()
    job.export_days()
    quality = job.export.manifest().qualities()[day_name(0)]
    assert (quality.rows, quality.unknown_users, quality.unknown_videos) == (12, 12, 12)


def test_a_long_day_takes_no_more_memory_than_a_short_one(folder: Path) -> None:
    """Ten times the rows, the same peak of what Python allocates."""
    peaks = []
    for rows in (2_000, 20_000):
        export = ParquetExport(folder / str(rows), FileShape(chunk_rows=200, group_chunks=2, file_groups=5))
        tracemalloc.start()
        export.write_day(DayCount(FIRST_DAY.date(), rows, rows), map(row_of, range(rows)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert export.manifest().quality.rows == rows
    assert peaks[1] < 1.5 * peaks[0]
