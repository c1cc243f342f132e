"""`feed trainer tune`: settings chosen before the test; what was tried outlives a kill."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from runtime.settings import load
from storage.database import sync_engine, upgrade
from storage.tables import user_interactions, videos
from tests.commands import bare_environ
from tests.integration.trainer.conftest import SMALL, VIDEOS, two_tastes
from tests.polling import wait_for
from tests.system import ROOT
from trainer.adapters.study_optuna import OptunaStudy, StudyTrial
from trainer.domain.search_space import Choice, Span
from trainer.settings import TrainerSettings

TRIALS = 9
SPACE = (Span("trainer_alpha", 1e-6, 1e-3, is_log=True), Choice("trainer_dimensions", (8, 16, 32)))
PRESENT = {"trainer_alpha": 1e-5, "trainer_dimensions": 16}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a small log."""
    folder = tmp_path_factory.mktemp("filled")
    url = f"sqlite:///{folder / 'feed.db'}"
    upgrade(url)
    engine = sync_engine(url)
    with engine.begin() as connection:
        catalogue = [{"video_id": f"v{n:03}", "tags": [], "is_active": True} for n in range(VIDEOS)]
        connection.execute(sa.insert(videos), catalogue)
        connection.execute(sa.insert(user_interactions), two_tastes())
    engine.dispose()
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "data"))


def tuning(folder: Path, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", "tune", *arguments],
        cwd=ROOT,
        env={**bare_environ(), **SMALL, "FEED_DATA_DIR": str(folder), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(folder: Path, *arguments: str, **environ: str) -> list[str]:
    """Tunes to the end; returns what is told besides what is logged."""
    with tuning(folder, *arguments, **environ) as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return [line for line in output.splitlines() if not line.startswith("{")]


def ended(folder: Path) -> int:
    """How many trials have ended."""
    try:
        with sqlite3.connect(f"file:{folder / 'tuning' / 'studies.db'}?mode=ro", uri=True) as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
            ).fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(count)


def test_a_killed_tuning_goes_on_and_ends_as_one_that_was_not(filled: Path, tmp_path: Path) -> None:
    whole, killed = (Path(shutil.copytree(filled, tmp_path / name)) for name in ("whole", "killed"))
    expected = told(whole, "--trials", str(TRIALS))
    with tuning(killed, "--trials", str(TRIALS)) as process:
        wait_for(lambda: ended(killed), lambda count: count >= 2, bound_s=300)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert ended(killed) < TRIALS
    assert told(killed, "--trials", str(TRIALS)) == expected
    assert ended(killed) == TRIALS


def test_the_best_settings_can_be_pasted_into_the_environment(folder: Path) -> None:
    comments, lines = [], {}
    for line in told(folder, "--trials", "3"):
        if line.startswith("#"):
            comments.append(line)
        else:
            name, _, value = line.partition("=")
            lines[name] = value
    assert [comment.split(",")[0] for comment in comments[:2]] == [
        "# NDCG@10 on the days before the test",
        "# On the test",
    ]
    assert "beyond noise" in comments[2]
    settings = load(TrainerSettings, lines)
    assert {"FEED_TRAINER_DIMENSIONS", "FEED_TRAINER_ALPHA", "FEED_TRAINER_EPOCHS"} < set(lines)
    assert 1 <= settings.trainer_epochs <= 15


def test_without_time_only_the_present_settings_are_tried(folder: Path) -> None:
    lines = told(folder, "--trials", "50", "--timeout", "0.001", FEED_TRAINER_ALPHA="0.00012")
    assert ended(folder) == 1
    assert {"FEED_TRAINER_DIMENSIONS=8", "FEED_TRAINER_ALPHA=0.00012"} < set(lines)


def test_an_algorithm_without_passes_is_tuned(folder: Path) -> None:
    lines = told(folder, "--trials", "2", FEED_TRAINER_ALGORITHM="user-knn")
    assert any(line.startswith("FEED_TRAINER_KNN_NEIGHBOURS=") for line in lines)
    assert not any(line.startswith("FEED_TRAINER_EPOCHS=") for line in lines)


def test_too_little_to_choose_by_is_a_sentence(folder: Path) -> None:
    with tuning(folder, FEED_TRAINER_GATE_MIN_USERS="1000") as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert errors == (
        "trainer: too little to choose settings by: 120 users with a positive, at least 1000 are needed\n"
    )


def test_no_other_command_imports_optuna() -> None:
    program = "import sys, trainer.cli, trainer.app, trainer.service; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=60).returncode == 0


def study(path: Path, seed: int = 1) -> OptunaStudy:
    return OptunaStudy(path / "studies.db", "small", SPACE, PRESENT, seed)


def end(trial: StudyTrial) -> tuple[float, float]:
    """Ends a trial as if more dimensions and less of a penalty were better; returns its values."""
    alpha, dimensions = trial.values["trainer_alpha"], trial.values["trainer_dimensions"]
    trial.ended(3, dimensions - 1000 * alpha)
    return alpha, dimensions


def test_a_study_that_is_opened_again_tries_what_it_would_have_tried(tmp_path: Path) -> None:
    """More trials than are drawn by chance alone; one that was begun and did not end is begun again."""
    whole = study(tmp_path / "whole")
    expected = [end(whole.begin()) for _ in range(12)]
    assert expected[0] == (PRESENT["trainer_alpha"], PRESENT["trainer_dimensions"])
    assert len(set(expected)) > 10
    killed = study(tmp_path / "killed")
    again = [end(killed.begin()) for _ in range(11)]
    killed.begin()
    again.append(end(study(tmp_path / "killed").begin()))
    assert again == expected


def test_the_best_and_the_present_settings_are_known(tmp_path: Path) -> None:
    tried = study(tmp_path)
    values = [end(tried.begin()) for _ in range(5)]
    best = max(values, key=lambda each: each[1] - 1000 * each[0])
    assert tuple(tried.best().values.values()) == best
    assert tried.best().passes == 3
    assert tried.first().values == PRESENT


def test_a_trial_that_is_worse_than_most_is_given_up(tmp_path: Path) -> None:
    tried = study(tmp_path)
    for _ in range(5):
        trial = tried.begin()
        assert all(trial.validated(passes, 0.5) for passes in (1, 2, 3)), "the first ones are never given up"
        trial.ended(1, 0.5)
    trial = tried.begin()
    assert trial.validated(1, 0.1), "nor is any after its first pass"
    assert not trial.validated(2, 0.1)
    trial.given_up()
    assert (tried.count, tried.best().reached) == (6, 0.5)
