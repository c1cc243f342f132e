"""`feed users` and `feed db prune`: what an operator sees, and that a kill on the way loses nothing."""

import json
import os
import signal
import stat
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from deploy.users_cli import app
from eventlog.adapters.journal_file import JournalFile
from eventlog.ports import Record
from eventlog.topics import INTERACTIONS
from storage.database import reading, sync_engine, upgrade
from storage.tables import user_interactions, users
from tests.commands import Operator, bare_environ
from tests.polling import wait_for

ROOT = Path(__file__).parents[3]
MANY = 40_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'feed.db'}"
    upgrade(made)
    return made


@pytest.fixture
def feed_users(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setenv("FEED_DATA_DIR", str(tmp_path))
    return Operator(app, url)


def like(url: str, user_id: str, count: int = 1) -> None:
    engine = sync_engine(url)
    now = datetime.now(UTC)
    row = {"user_id": user_id, "video_id": "v1", "interaction_type": "LIKE", "watch_time_s": 0.0}
    rows = [{**row, "event_id": f"{user_id}-{n}", "event_time": now, "ingest_time": now} for n in range(count)]
    with engine.begin() as connection:
        connection.execute(sa.insert(user_interactions), rows)
    engine.dispose()


def left(url: str, user_id: str) -> int:
    engine = sync_engine(url)
    table = user_interactions
    with reading(engine) as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.user_id == user_id))
    engine.dispose()
    return count or 0


def states(text: str) -> dict[str, str]:
    return {line.split()[0]: line.split()[1] for line in text.splitlines() if line.startswith("  ")}


def test_a_user_is_erased_with_a_receipt_that_can_be_shown_again(feed_users: Operator, url: str) -> None:
    like(url, "u1", 3)
    like(url, "u2")
    done = feed_users("erase", "u1")
    assert done.exit_code == 0, done.output
    open_parts = dict.fromkeys(("bridges", "export", "models", "files", "mark"), "by")
    assert states(done.stdout) == {"database": "done", "journals": "done"} | open_parts
    assert "rows of all tables (3)" in done.stdout
    assert (left(url, "u1"), left(url, "u2")) == (0, 1)
    assert feed_users("erased", "u1").stdout == done.stdout
    assert feed_users("erase", "u1").stdout == done.stdout
    nobody = feed_users("erased", "u2")
    assert (nobody.exit_code, nobody.stderr) == (1, "u2 was never erased\n")


def test_what_is_still_to_be_read_of_the_journal_has_a_date_and_is_done_by_the_night(
    feed_users: Operator, tmp_path: Path, url: str
) -> None:
    journal = JournalFile(tmp_path / "eventlog")
    journal.append([Record(INTERACTIONS, "u1", b'{"userId":"u1"}')])
    offset = journal.read(INTERACTIONS, 0, 1)[0].offset
    journal.set_position(INTERACTIONS, "feed-sink", offset)
    assert states(feed_users("erase", "u1").stdout)["journals"] == "by"
    journal.set_position(INTERACTIONS, "feed-sink", offset + 1)
    pruned = feed(tmp_path, url, "db", "prune")
    assert pruned.returncode == 0, pruned.stderr
    assert "users looked for again: 1" in pruned.stdout
    told = states(feed_users("erased", "u1").stdout)
    assert (told["journals"], told["files"]) == ("done", "done")
    assert b"u1" not in b"".join(path.read_bytes() for path in (tmp_path / "eventlog").rglob("*.log"))
    journal.close()


def test_an_export_is_a_zip_of_lines_that_only_its_owner_may_read(
    feed_users: Operator, tmp_path: Path, url: str
) -> None:
    like(url, "u1", 2)
    like(url, "u2")
    path = tmp_path / "out.zip"
    assert feed_users("export", "u1", "--output", str(path)).stdout == f"{path}: 2 rows\n  user_interactions 2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        lines = [json.loads(line) for line in archive.read("user_interactions.ndjson").splitlines()]
        about = json.loads(archive.read("about.json"))
    assert [line["event_id"] for line in lines] == ["u1-0", "u1-1"]
    assert datetime.fromisoformat(lines[0]["event_time"]).tzinfo is not None
    assert (about["userId"], about["rows"]) == ("u1", {"user_interactions": 2})


def test_consent_is_withdrawn_and_given(feed_users: Operator, url: str) -> None:
    engine = sync_engine(url)
    for wish in ("off", "off", "on"):
        assert feed_users("consent", "u1", wish).stdout == f"u1: {wish}\n"
        with reading(engine) as connection:
            assert connection.execute(sa.select(users.c.personalised)).scalars().all() == [wish == "on"]
    engine.dispose()


@pytest.mark.parametrize("command", [["erase"], ["erased"], ["export"], ["consent"]], ids=lambda each: each[0])
def test_an_id_that_is_none_is_refused_with_what_is_accepted(command: list[str], feed_users: Operator) -> None:
    more = ["on"] if command == ["consent"] else []
    refused = feed_users(*command, "a b", *more)
    assert (refused.exit_code, refused.stderr) == (2, "USER: must be 1 to 128 characters of A-Z a-z 0-9 _ . : -\n")


def feed(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        cwd=ROOT,
        env={**bare_environ(), "FEED_DATA_DIR": str(folder), "FEED_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_an_erasure_that_is_killed_is_gone_on_with(tmp_path: Path, url: str) -> None:
    like(url, "u1", MANY)
    environ = {**bare_environ(), "FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": url}
    process = subprocess.Popen([sys.executable, "-m", "deploy.cli", "users", "erase", "u1"], cwd=ROOT, env=environ)
    wait_for(lambda: left(url, "u1"), lambda count: count < MANY, bound_s=120)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    remaining = left(url, "u1")
    assert 0 < remaining < MANY
    half_done = feed(tmp_path, url, "users", "erased", "u1")
    assert states(half_done.stdout)["database"] == "by"
    done = feed(tmp_path, url, "users", "erase", "u1")
    assert done.returncode == 0, done.stderr
    assert f"({remaining})" in done.stdout
    assert left(url, "u1") == 0
    assert done.stdout.split()[0] == half_done.stdout.split()[0]


def test_old_rows_are_pruned_as_the_settings_say(tmp_path: Path, url: str) -> None:
    like(url, "u1", 5)
    engine = sync_engine(url)
    with engine.begin() as connection:
        old = datetime.now(UTC) - timedelta(days=401)
        connection.execute(
            sa.update(user_interactions).where(user_interactions.c.event_id != "u1-0").values(event_time=old)
        )
    engine.dispose()
    done = feed(tmp_path, url, "db", "prune")
    assert "user_interactions: 4 rows deleted" in done.stdout
    assert left(url, "u1") == 1
    assert "user_interactions: 0 rows deleted" in feed(tmp_path, url, "db", "prune").stdout
