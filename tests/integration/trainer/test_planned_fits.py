"""Fits that begin with the model that serves, and fits that are watched."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from runtime.models import bundle_files
from runtime.models.model_bundle import Manifest
from runtime.secrets.signing import load_public_key
from storage.tables import user_interactions
from storage.trainings import TrainingStatus
from tests.integration.trainer.conftest import DAYS, FIRST_DAY, USERS, two_tastes
from trainer.ports import SilentProgress
from trainer.service import Result, Training

Jobs = Callable[..., Training]


def add_days(engine: sa.Engine) -> None:
    """Two days more, with videos that their users have not met."""
    with engine.begin() as connection:
        connection.execute(sa.insert(user_interactions), two_tastes(range(DAYS, DAYS + 2)))


def told(job: Training, fact: str) -> Mapping[str, object]:
    assert isinstance(job.progress, SilentProgress)
    return job.progress.facts[fact]


def manifest(folder: Path, result: Result) -> Manifest:
    assert result.status is TrainingStatus.SUCCEEDED, result.reason
    key = load_public_key(folder / "keys" / "model_signing.pub")
    return bundle_files.read_manifest(folder / "models", result.model_version, key)


@pytest.fixture
def later(engine: sa.Engine, job_of: Jobs) -> str:
    """A model that serves, and two days more in the log; returns its version."""
    version = job_of().run().model_version
    add_days(engine)
    return version


@pytest.mark.parametrize(
    ("algorithm", "passes"), [("lightfm-warp", "epochs"), ("lightfm-bpr", "epochs"), ("als", "als_passes")]
)
def test_a_fit_begins_with_the_model_that_serves(
    engine: sa.Engine, job_of: Jobs, tmp_path: Path, algorithm: str, passes: str
) -> None:
    first = job_of(FEED_TRAINER_ALGORITHM=algorithm).run().model_version
    add_days(engine)
    job = job_of(FEED_TRAINER_ALGORITHM=algorithm, FEED_TRAINER_WARM_PASSES="1")
    params = manifest(tmp_path, job.run(promote=False)).params
    assert (params["started_from"], params[passes]) == (first, 1)
    assert told(job, "start") == {"model": first, "users": USERS, "videos": 60}


def test_a_warm_start_gives_the_same_bytes_again(job_of: Jobs, later: str, tmp_path: Path) -> None:
    del later
    found = [manifest(tmp_path, job_of(FEED_TRAINER_WARM_PASSES="2").run(promote=False)) for _ in range(2)]
    assert found[0].arrays_sha256 == found[1].arrays_sha256


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        pytest.param(
            {"FEED_TRAINER_DIMENSIONS": "4"}, "the model that serves is lightfm-warp of 8 dimensions", id="dimensions"
        ),
        pytest.param(
            {"FEED_TRAINER_ALGORITHM": "als"}, "the model that serves is lightfm-warp of 8 dimensions", id="algorithm"
        ),
        pytest.param(
            {"FEED_TRAINER_ALGORITHM": "combination"}, "combination cannot begin with a model", id="a combination"
        ),
    ],
)
def test_another_form_begins_from_scratch(job_of: Jobs, later: str, settings: Mapping[str, str], reason: str) -> None:
    del later
    job = job_of(FEED_TRAINER_WARM_PASSES="1", **settings)
    job.measure()
    assert told(job, "start") == {"model": "scratch", "reason": reason}


def test_a_model_that_knows_the_test_is_no_beginning(engine: sa.Engine, job_of: Jobs, tmp_path: Path) -> None:
    """Nothing came since it was trained: what a fit from it reached would be no measure."""
    del engine
    job = job_of(FEED_TRAINER_WARM_PASSES="1")
    assert manifest(tmp_path, job.run()).params["started_from"] == "scratch"
    assert told(job, "start")["reason"] == "no model serves that can be read"
    again = job_of(FEED_TRAINER_WARM_PASSES="1")
    assert manifest(tmp_path, again.run()).params["epochs"] == 12
    assert told(again, "start") == {"model": "scratch", "reason": "the model that serves knows the test"}


@pytest.mark.parametrize(
    ("algorithm", "passes"),
    [("lightfm-warp", {"lightfm-warp": "epochs"}), ("combination", {"lightfm-warp": "epochs", "als": "als_passes"})],
)
def test_a_watched_fit_takes_the_passes_that_were_best(
    engine: sa.Engine, job_of: Jobs, tmp_path: Path, algorithm: str, passes: Mapping[str, str]
) -> None:
    del engine
    job = job_of(FEED_TRAINER_ALGORITHM=algorithm, FEED_TRAINER_PATIENCE="2", FEED_TRAINER_EPOCHS="20")
    params = manifest(tmp_path, job.run()).params
    assert isinstance(job.progress, SilentProgress)
    assert job.progress.steps == ["export", "load", *["watch fit"] * len(passes), "fit on past", "fit on all"]
    last = told(job, "stopped")
    assert params[passes[str(last["algorithm"])]] == last["passes"]
    assert 1 <= int(params["epochs"]) <= 20


def test_too_few_to_validate_with_take_all_passes(engine: sa.Engine, job_of: Jobs) -> None:
    """Only half of the users did anything before the test."""
    with engine.begin() as connection:
        columns = user_interactions.c
        early = columns.event_time < FIRST_DAY + timedelta(days=DAYS - 2)
        connection.execute(sa.delete(user_interactions).where(early, columns.user_id >= f"u{USERS // 2:03}"))
    job = job_of(FEED_TRAINER_PATIENCE="2", FEED_TRAINER_GATE_MIN_TEST_USERS=str(USERS // 2 + 1))
    job.measure()
    assert told(job, "stopped") == {"passes": "not watched", "users": USERS // 2}
