"""S13: a user is shown everything that is known, and erased from all of it; nobody else is touched.

On the embedded system: every byte of its data folder is searched for the user's id. What is still found is on the
receipt with a date.
"""

import json
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from feed.recommendations.v1 import recommendations_pb2 as pb
from storage.database import reading, sync_engine
from storage.tables import metadata, user_interactions, users
from tests.chaos.conftest import Reporter
from tests.e2e.test_outcomes import told_back
from tests.http import call_now, post_json
from tests.polling import wait_for
from tests.system import System
from tests.tastes import SMALL_MODEL, fill

TARGET = "export = truth; DB at once; model by the next nightly run; other users untouched; what is left has a date"
# The last by its name: `feed up` prints the first user of the data for its examples.
USER = "zz-erase-me-b7c41d"
OTHER = "u008"
# Longer than the 5 s that are promised: the machine is shared.
OBEYED_BOUND_S = 30.0
COMPRESSED = ".parquet"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """The whole system, with a model that knows the user."""
    url = f"sqlite:///{tmp_path / 'feed.db'}"
    fill(url, datetime.now(UTC).replace(microsecond=0))
    _copy_history(url)
    running = System(tmp_path, environ=SMALL_MODEL)
    running.start()
    wait_for(lambda: running.page(USER).source, lambda source: source == pb.LIGHTFM)
    yield running
    running.stop()


def _copy_history(url: str) -> None:
    """Gives the user the interactions of another one."""
    engine = sync_engine(url)
    with engine.begin() as connection:
        wanted = sa.select(user_interactions).where(user_interactions.c.user_id == "u000")
        rows = [dict(row) for row in connection.execute(wanted).mappings()]
        for row in rows:
            del row["id"]
            row |= {"user_id": USER, "event_id": str(uuid.uuid4())}
        connection.execute(sa.insert(user_interactions), rows)
        connection.execute(sa.insert(users), {"user_id": USER, "features": {"club": "c0"}, "personalised": True})
    engine.dispose()


@pytest.fixture
def database(system: System) -> Iterator[sa.Engine]:
    engine = sync_engine(f"sqlite:///{system.folder / 'feed.db'}")
    yield engine
    engine.dispose()


def rows_of(engine: sa.Engine, user_id: str) -> dict[str, int]:
    """How many rows name the user, by table."""
    with reading(engine) as connection:
        counted = {
            table.name: connection.scalar(
                sa.select(sa.func.count()).select_from(table).where(table.c.user_id == user_id)
            )
            or 0
            for table in metadata.tables.values()
            if "user_id" in table.c
        }
    return {table: count for table, count in counted.items() if count}


def act(system: System, user_id: str) -> None:
    """Asks for a page, and likes what is on it."""
    page = system.page(user_id, page_size=4)
    events = [told_back(user_id, page, place, interactionType="LIKE") for place in range(4)]
    answer = post_json(system.http_port("interactions"), "/feed/interactions", {"interactions": events})
    assert {result["status"] for result in answer.json["results"]} == {"ACCEPTED"}


def files_naming(folder: Path, user_id: str) -> set[str]:
    """The files that hold the id, in any column, record, log or free page."""
    found = set()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _names(path, user_id):
            found.add(str(path.relative_to(folder)))
    return found


def _names(path: Path, user_id: str) -> bool:
    try:
        if path.suffix == COMPRESSED:
            return user_id in pq.read_table(path)["user_id"].to_pylist()
        return user_id.encode() in path.read_bytes()
    except FileNotFoundError:  # a server tidied up meanwhile
        return False


def receipt(system: System) -> dict[str, str]:
    """What the receipt says of each part."""
    told = system.feed("users", "erased", USER)
    assert told.returncode == 0, told.stderr
    return {line.split()[0]: line.split()[1] for line in told.stdout.splitlines() if line.startswith("  ")}


def exported(system: System, path: Path) -> dict[str, list[dict[str, Any]]]:
    done = system.feed("users", "export", USER, "--output", str(path))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(path) as archive:
        named = {name: archive.read(name).splitlines() for name in archive.namelist()}
    return {name: [json.loads(line) for line in lines] for name, lines in named.items()}


def metric(system: System, process: str, name: str) -> float:
    text = call_now(system.http_port(process), "GET", "/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_s13_erase_and_export_a_user(
    system: System, database: sa.Engine, tmp_path_factory: pytest.TempPathFactory, report: Reporter
) -> None:
    act(system, USER)
    act(system, OTHER)
    everywhere = {"users", "user_interactions", "feed_cache", "recommendation_decisions"}
    wait_for(
        lambda: rows_of(database, USER),
        lambda found: found.get("user_interactions", 0) >= 28 and everywhere <= set(found),
    )
    wait_for(lambda: rows_of(database, OTHER), lambda found: everywhere <= set(found))
    assert system.feed("trainer", "run").returncode == 0
    before = files_naming(system.folder, USER)
    assert {path.split("/")[0] for path in before} >= {"feed.db", "eventlog", "export", "models"}

    found = exported(system, tmp_path_factory.mktemp("out") / "user.zip")
    (about,) = found.pop("about.json")
    truth = rows_of(database, USER)
    exact = {table: about["rows"].get(table, 0) for table in truth} == truth
    exact &= {
        row["user_id"] for name, rows in found.items() if name != "prediction_outcomes.ndjson" for row in rows
    } == {USER}
    others = rows_of(database, OTHER)

    erased = system.feed("users", "erase", USER)
    assert erased.returncode == 0, erased.stderr
    left = rows_of(database, USER)
    wait_for(lambda: system.page(USER), lambda page: page.source == pb.TRENDING and not page.attempts, OBEYED_BOUND_S)
    dropped = metric(system, "interactions", "feed_interactions_dropped_no_consent_total")
    act(system, USER)
    wait_for(
        lambda: (
            metric(system, "interactions", "feed_interactions_dropped_no_consent_total")
            + metric(system, "sink", 'feed_sink_records_total{result="dropped_no_consent"')
        ),
        lambda count: count > dropped,
        OBEYED_BOUND_S,
    )
    at_once = receipt(system)

    assert system.feed("trainer", "run").returncode == 0
    assert system.feed("db", "prune").returncode == 0
    # What bridges remember is gone by a time, not by the night: a quick night ends before.
    after_night = wait_for(lambda: receipt(system), lambda parts: parts["bridges"] == "done", OBEYED_BOUND_S)
    named = files_naming(system.folder, USER)
    untouched = rows_of(database, OTHER) == others

    with database.begin() as connection:
        long_ago = datetime.now(UTC) - timedelta(days=32)
        connection.execute(sa.update(users).where(users.c.user_id == USER).values(erased_at=long_ago))
    assert system.feed("db", "prune").returncode == 0
    wait_for(lambda: files_naming(system.folder / "bridge", USER), lambda files: not files, OBEYED_BOUND_S)
    system.stop()
    in_the_end = files_naming(system.folder, USER)

    marked = {"feed.db", "feed.db-wal", "bridge/consent.json"}
    met = (
        exact
        and left == {"users": 1}
        and at_once["database"] == at_once["journals"] == "done"
        and {part for part, state in after_night.items() if state != "done"} <= {"mark"}
        and named <= marked
        and untouched
        and not in_the_end
    )
    report(
        "S13",
        "erase and export a user",
        target=TARGET,
        met=met,
        export_is_truth=exact,
        rows_exported=sum(about["rows"].values()),
        rows_left_at_once=sum(left.values()) - 1,
        files_before=len(before),
        parts_open_after_the_night=" ".join(sorted(part for part, state in after_night.items() if state != "done")),
        files_after_the_night=" ".join(sorted(named)),
        files_after_the_mark=" ".join(sorted(in_the_end)),
        others_untouched=untouched,
    )
    assert met
