"""A run is seen alive while it runs, and seen dead when it was killed, on both databases."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from storage.tables import model_trainings
from storage.trainings import StillRunningError, TrainingStart, TrainingStatus
from tests.commands import bare_environ
from tests.integration.trainer.conftest import SMALL
from tests.polling import wait_for
from trainer.adapters.database_sqlalchemy import TrainingDatabase
from trainer.ports import SilentProgress
from trainer.service import Training
from trainer.status.ports import RememberingTelemetry
from trainer.status.recorder import Recorder
from trainer.status.steps import TimedProgress

TWO = datetime(2026, 1, 1, 2, tzinfo=UTC)
ROOT = Path(__file__).parents[4]


@pytest.fixture
def database(database_url: str) -> Iterator[TrainingDatabase]:
    database = TrainingDatabase(database_url)
    yield database
    database.close()


class Clock:
    """A time that goes on by a second with each look."""

    def __init__(self) -> None:
        self.now = TWO

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def recorder(database: TrainingDatabase, folder: Path, telemetry: RememberingTelemetry) -> Recorder:
    folder.mkdir(exist_ok=True)
    return Recorder(database, telemetry, ["snowflake"], folder / "trainer.run", Clock(), beat_s=0.01)


def start(version: str, at: datetime = TWO) -> TrainingStart:
    return TrainingStart(version, "als", {}, {}, at, "feed_lightfm_retrain")


def test_a_run_beats_while_it_goes_on_and_no_longer(database: TrainingDatabase, tmp_path: Path) -> None:
    recording = recorder(database, tmp_path, RememberingTelemetry())
    recording.begin(start("m1"))

    def beaten() -> datetime:
        status = database.status_of("m1")
        assert status is not None
        return status.heartbeat_at

    with recording.beating("m1"):
        wait_for(beaten, lambda at: at > TWO + timedelta(seconds=1))
    last = beaten()
    assert recording.now() == last + timedelta(seconds=1), "nobody looked at the clock any more"


def test_of_its_own_machine_the_next_run_knows_a_killed_one_at_once(database: TrainingDatabase, tmp_path: Path) -> None:
    heard = RememberingTelemetry()
    recorder(database, tmp_path, heard).begin(start("killed"))
    recorder(database, tmp_path, heard).begin(start("next", TWO + timedelta(seconds=5)))
    assert [run.model_version for run in heard.ends] == ["killed"]
    assert [item.model_version for item in database.untold("snowflake")] == ["killed"]


def test_of_another_machine_only_by_its_silence(database: TrainingDatabase, tmp_path: Path) -> None:
    heard = RememberingTelemetry()
    recorder(database, tmp_path / "there", heard).begin(start("there"))
    here = recorder(database, tmp_path / "here", heard)
    with pytest.raises(StillRunningError):
        here.begin(start("here", TWO + timedelta(seconds=119)))
    here.begin(start("here", TWO + timedelta(seconds=121)))
    assert [(run.model_version, run.status) for run in heard.ends] == [("there", TrainingStatus.FAILED)]


def test_what_came_of_a_run_is_in_the_register_and_queued(
    job_of: Callable[..., Training], engine: sa.Engine, database: TrainingDatabase
) -> None:
    del engine
    job, heard = job_of(), RememberingTelemetry()
    job = replace(job, recorder=replace(job.recorder, telemetry=heard, destinations=["snowflake"]))
    version = job.run().model_version
    status = database.status_of(version)
    assert status is not None
    assert heard.ends == [status]
    assert (status.job_name, status.status) == ("feed_lightfm_retrain", TrainingStatus.SUCCEEDED)
    assert {"interactions", "users", "videos", "exported_days"} == set(status.counts)
    assert status.params["dimensions"] == 8
    assert {"export", "load", "fit on past", "fit on all"} <= set(status.durations_s)
    assert sum(status.durations_s.values()) <= (status.elapsed_s or 0) + 0.1
    assert [item.model_version for item in database.untold("snowflake")] == [version]


def test_steps_of_one_name_are_added_up_and_failed_ones_too() -> None:
    told = SilentProgress()
    timed = TimedProgress(told)
    with pytest.raises(OSError), timed.step("fit", 1):  # noqa: PT011
        raise OSError
    first = timed.seconds["fit"]
    with timed.step("fit", 1) as advance:
        advance()
    timed.fact("found", users=1)
    assert timed.seconds["fit"] >= first
    assert (told.steps, told.facts) == (["fit", "fit"], {"found": {"users": 1}})


def test_kill_9_leaves_no_run_that_seems_to_live(
    engine: sa.Engine, job_of: Callable[..., Training], database_url: str, tmp_path: Path
) -> None:
    """A real process, killed while it runs; the next run says so, and succeeds."""
    environ = bare_environ()
    environ |= {**SMALL, "FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": database_url}
    endless = subprocess.Popen(
        [sys.executable, "-m", "trainer", "run"],
        cwd=ROOT,
        env={**environ, "FEED_TRAINER_EPOCHS": "1000"},
        stdout=subprocess.DEVNULL,
    )

    def runs() -> list[tuple[str, str | None]]:
        columns = model_trainings.c
        with engine.connect() as connection:
            rows = connection.execute(sa.select(columns.status, columns.error).order_by(columns.started_at))
            return [(row.status, row.error) for row in rows]

    wait_for(runs, lambda found: found == [("started", None)], 120)
    endless.send_signal(signal.SIGKILL)
    endless.wait()
    assert job_of().run().status is TrainingStatus.SUCCEEDED
    (killed, why), (last, _) = runs()
    assert (killed, last) == ("failed", "succeeded")
    assert (why or "").startswith("killed: no heartbeat since ")
