"""An export that is killed, at each step that it takes: whole days or none, and the next one goes on."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from runtime.settings import load
from storage.database import sync_engine, upgrade
from storage.tables import user_interactions
from tests.integration.trainer.conftest import FIRST_DAY, interaction
from tests.integration.trainer.test_export import day_name, hashes
from tests.system import ROOT
from trainer.adapters.export_parquet import ExportedDay
from trainer.app import training
from trainer.ports import SilentProgress
from trainer.service import Training
from trainer.settings import TrainerSettings

UNCHANGED, CHANGED, GONE, NEW, NEWER = range(5)

Day = dict[str, str]


@contextmanager
def exporting(folder: Path, name: str) -> Iterator[Training]:
    """Opens an export of the one database into a data directory of its own."""
    environ = {"FEED_DATA_DIR": str(folder / name), "FEED_DATABASE_URL": f"sqlite:///{folder / 'feed.db'}"}
    with training(load(TrainerSettings, environ), SilentProgress()) as job:
        yield job


def days_in(folder: Path, name: str) -> dict[str, Day]:
    """Returns the hashes of the files of each day that can be seen."""
    return {path.name: hashes(path) for path in (folder / name / "export" / "interactions").glob("dt=*")}


def hashes_in(known: ExportedDay) -> Day:
    return {file.name: file.sha256 for file in known.files}


def test_a_killed_export_leaves_whole_days_and_the_next_one_goes_on(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path / 'feed.db'}")
    engine = sync_engine(f"sqlite:///{tmp_path / 'feed.db'}")
    rows = sa.insert(user_interactions)
    with engine.begin() as connection:
        connection.execute(rows, [interaction(100 * day + n, n, n, day) for day in range(3) for n in range(20)])
    with exporting(tmp_path, "base") as job:
        job.export_days()
    with engine.begin() as connection:
        is_gone = user_interactions.c.event_time >= FIRST_DAY + timedelta(days=GONE)
        connection.execute(sa.delete(user_interactions).where(is_gone))
        connection.execute(rows, [interaction(1000 * day, 1, 1, day) for day in (CHANGED, NEW, NEWER)])
    engine.dispose()
    with exporting(tmp_path, "clean") as job:
        job.export_days()
    before, after = days_in(tmp_path, "base"), days_in(tmp_path, "clean")

    subprocess.run(
        [sys.executable, "-m", "tests.integration.trainer.killed_exports", str(tmp_path)],
        cwd=ROOT,
        check=True,
        timeout=120,
    )

    killed = sorted(int(path.name) for path in tmp_path.iterdir() if path.name.isdigit())[:-1]
    assert len(killed) > 20, "each of three days takes several steps"
    for name in map(str, killed):
        left = days_in(tmp_path, name)
        assert all(files in (before.get(day), after.get(day)) for day, files in left.items()), name
        with exporting(tmp_path, name) as job:
            known = job.export.manifest().days
            done = [day for day, each in known.items() if hashes_in(each) == after.get(f"dt={day}")]
            assert day_name(UNCHANGED) in done
            assert job.export_days() == len(after) - len(done), name
        assert days_in(tmp_path, name) == after, name
        assert hashes(tmp_path / name / "export") == hashes(tmp_path / "clean" / "export"), name
