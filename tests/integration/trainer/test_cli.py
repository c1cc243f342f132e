"""`feed trainer …` as an operator uses it: what it says and how it ends."""

import getpass
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from storage.database import sync_engine, upgrade
from storage.tables import audit_log, user_interactions, videos
from tests.commands import bare_environ
from tests.integration.trainer.conftest import SMALL, VIDEOS, two_tastes

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a small log in the embedded database."""
    folder = tmp_path_factory.mktemp("data")
    url = f"sqlite:///{folder / 'feed.db'}"
    upgrade(url)
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.insert(videos), [{"video_id": f"v{n:03}", "tags": [], "is_active": True} for n in range(VIDEOS)]
        )
        connection.execute(sa.insert(user_interactions), two_tastes())
    engine.dispose()
    return folder


def trainer(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=ROOT,
        env={**bare_environ(), **SMALL, "FEED_DATA_DIR": str(folder), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def live(folder: Path) -> str:
    return (folder / "models" / "LIVE").read_text().strip()


def changes(folder: Path) -> list[tuple[Any, ...]]:
    """What the audit trail tells, newest first."""
    engine = sync_engine(f"sqlite:///{folder / 'feed.db'}")
    wanted = ("subject", "subject_id", "action", "actor", "door", "details")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(*(audit_log.c[name] for name in wanted)).order_by(audit_log.c.id.desc()))
        found = [tuple(row) for row in rows]
    engine.dispose()
    return found


def test_run_fit_promote_and_rollback(folder: Path) -> None:
    first = trainer(folder, "run")
    assert first.returncode == 0, first.stderr
    *lines, last = first.stdout.splitlines()
    assert last == f"published: {live(folder)}"
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == [
        "trainer.step",
        "trainer.step",
        "trainer.step",
        "trainer.evaluated",
        "trainer.popularity",
        "trainer.step",
        "trainer.report",
        "trainer.finished",
    ]
    before = live(folder)

    fitted = trainer(folder, "fit")
    assert fitted.returncode == 0, fitted.stderr
    assert live(folder) == before
    version = fitted.stdout.splitlines()[-1].removeprefix("published: ")
    assert trainer(folder, "promote", version, "--by", "ann").stdout == f"serving: {version}\n"
    assert live(folder) == version
    assert trainer(folder, "rollback").stdout == f"serving: {before}\n"
    assert live(folder) == before
    assert changes(folder) == [
        ("model", before, "served", getpass.getuser(), "cli", {"instead_of": version}),
        ("model", version, "served", "ann", "cli", {"instead_of": before}),
    ]

    nowhere = trainer(folder, "rollback")
    assert (nowhere.returncode, nowhere.stderr) == (1, "trainer: missing: no older model is on disk\n")
    unknown = trainer(folder, "promote", "nothing")
    assert (unknown.returncode, unknown.stderr) == (1, "trainer: missing: no manifest.json\n")
    assert live(folder) == before
    assert len(changes(folder)) == 2


def test_who_cannot_be_told_fails_no_run(folder: Path) -> None:
    """Snowflake's key is missing; a run that was refused is told as well, says why, and ends as one."""
    snowflake = {"ACCOUNT": "a", "USER": "u", "PRIVATE_KEY_FILE": "no.p8", "DATABASE": "D", "SCHEMA": "S"}
    environ = {f"FEED_TRAINER_SNOWFLAKE_{name}": value for name, value in snowflake.items()}
    done = trainer(folder, "run", **environ, FEED_TRAINER_GATE_POPULARITY_RATIO="100")
    assert done.returncode == 3
    assert "refused: NDCG@10" in done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["event"], told["destination"], told["retry_s"]) == ("trainer.not_told", "snowflake", 60.0)
    assert "no.p8" in told["error"]


def test_evaluate_and_export(folder: Path) -> None:
    assert trainer(folder, "export").stdout.splitlines()[-1].startswith("days exported: ")
    done = trainer(folder, "evaluate")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "trainer.report"
    assert Path(last["path"]).is_file()


def test_two_models_are_compared(folder: Path) -> None:
    versions = [trainer(folder, "fit").stdout.splitlines()[-1].removeprefix("published: ") for _ in range(2)]
    done = trainer(folder, "compare", *versions)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[3:6]] == ["NDCG@10", "recall@50", "MAP@10"]
    alone = trainer(folder, "compare", versions[0], versions[0])
    assert (alone.returncode, alone.stdout) == (1, "")
    assert "are one model; name two" in alone.stderr


def test_an_estimate_says_what_it_lacks(folder: Path) -> None:
    assert trainer(folder, "run").returncode == 0
    done = trainer(folder, "estimate", "live")
    assert (done.returncode, done.stdout) == (1, "")
    assert "have no kept places of users it knows" in done.stderr


def test_an_export_shows_what_it_exported_and_what_is_odd(folder: Path) -> None:
    (folder / "export" / "interactions" / "manifest.json").unlink(missing_ok=True)
    done = trainer(folder, "export", "--since", "2025-09-02", "--until", "2025-09-03")
    heads, *lines = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert heads.split()[:3] == ["day", "rows", "merged"]
    assert [line.split()[:2] for line in lines[:3]] == [["2025-09-02", "360"], ["2025-09-03", "360"], ["all", "720"]]
    assert lines[3:] == [
        "suspicious: 2025-09-02: 100% are of users who were never announced, 0% before",
        "days exported: 2",
    ]


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        pytest.param(["--since", "yesterday"], ["--since", "'yesterday'", "YYYY-MM-DD"], id="no day"),
        pytest.param(["--until", "2025-02-30"], ["--until", "'2025-02-30'", "YYYY-MM-DD"], id="no such day"),
        pytest.param(
            ["--since", "2025-09-02", "--until", "2025-09-01"],
            ["--since", "must not be after --until 2025-09-01"],
            id="the wrong way round",
        ),
    ],
)
def test_days_that_are_none_are_named(tmp_path: Path, bounds: list[str], said: list[str]) -> None:
    done = trainer(tmp_path, "export", *bounds)
    assert done.returncode == 2
    assert all(each in done.stderr for each in said), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_all_named_and_nothing_is_written(tmp_path: Path) -> None:
    done = trainer(tmp_path, "run", FEED_TRAINER_EPOCHS="-1", FEED_TRAINER_COLOUR="red")
    assert done.returncode == 2
    assert "FEED_TRAINER_EPOCHS='-1'" in done.stderr
    assert "FEED_TRAINER_COLOUR: unknown setting" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_a_sentence_and_no_trace(tmp_path: Path) -> None:
    done = trainer(tmp_path, "run")
    assert (done.returncode, done.stderr) == (
        1,
        "trainer: no export in interactions: there are no interactions\n",
    )
