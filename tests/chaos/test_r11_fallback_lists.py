"""R11: the trending file is missing, damaged or old, at the start or later, and the database may be gone too.

No scorer answers in any of these, so that every page comes from the lists.
"""

import asyncio
import itertools
import json
import math
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bridge.adapters.lists_file import FileLists
from bridge.domain.lists import TrendingLists
from bridge.ports import ListError
from deploy.local.postgres import LocalPostgres
from tests.chaos.conftest import Reporter
from tests.chaos.rig import Rig
from tests.chaos.watching import PAGE_SIZE, Sample, feed_of, look_at_page, read_metrics
from tests.databases import fresh_postgres_url
from tests.integration.bridge.conftest import fill
from tests.polling import wait_for

TARGET = "0 failed; never an empty list; age metric right"
AGE = "feed_bridge_trending_age_seconds"
TROUBLES = "feed_bridge_list_failures_total"

OLD_S = 3_600.0
REFRESH_MS = 200
# By how much the age may be off what it can have been between the question and the answer.
AGE_SLACK_S = 0.1
PAGES = 20
NOBODY = "127.0.0.1:1"
NO_DATABASE = "postgresql://feed@127.0.0.1:1/feed"


def _lose(folder: Path) -> None:
    (folder / "trending.json").unlink()


def _damage(folder: Path) -> None:
    file = folder / "trending.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] + b"\x00" * 20)


def _age(folder: Path) -> None:
    lists = _stored(folder)
    asyncio.run(FileLists(folder).save("trending", replace(lists, refreshed_time=lists.refreshed_time - OLD_S)))


def _leave(_folder: Path) -> None: ...


def _lose_all_but_the_operators(folder: Path) -> None:
    for name in ("trending", "editorial"):
        (folder / f"{name}.json").unlink()
    _chosen(folder.parent).write_text(json.dumps([f"e{number:02}" for number in range(PAGE_SIZE)]))


def _chosen(folder: Path) -> Path:
    """The operator's own list, `FEED_BRIDGE_EDITORIAL_PATH`."""
    return folder / "chosen.json"


def _stored(folder: Path) -> TrendingLists:
    lists = asyncio.run(FileLists(folder).load("trending", TrendingLists))
    assert lists is not None
    return lists


@dataclass(frozen=True)
class Boot:
    """What a bridge finds when it starts, and what it must then do.

    Args:
        spoil: What happened to the folder with its lists since its last run.
        database: Whether the database is there.
        source: Who serves.
        age_s: How old trending is then at least; infinite: there is none.
        damaged: Whether it must say that the file was unreadable.
    """

    spoil: Callable[[Path], None]
    database: bool
    source: str
    age_s: float
    damaged: bool = False


BOOTS = {
    "missing": Boot(_lose, True, "TRENDING", 0),
    "damaged": Boot(_damage, True, "TRENDING", 0, damaged=True),
    "old": Boot(_age, True, "TRENDING", 0),
    "whole-no-database": Boot(_leave, False, "TRENDING", 0),
    "old-no-database": Boot(_age, False, "TRENDING", OLD_S),
    "missing-no-database": Boot(_lose, False, "EDITORIAL", float("inf")),
    "damaged-no-database": Boot(_damage, False, "EDITORIAL", float("inf"), damaged=True),
    "operators-list-alone": Boot(_lose_all_but_the_operators, False, "EDITORIAL", float("inf")),
}


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bridge that ran and ended: its database, and the lists that it kept."""
    folder: Path = tmp_path_factory.mktemp("left-behind")
    with ExitStack() as closing:
        assert Rig(folder, closing).bridge(NOBODY).stop() == 0
    return folder


@pytest.mark.parametrize("boot", [pytest.param(boot, id=name) for name, boot in BOOTS.items()])
def test_at_the_start(rig: Rig, left_behind: Path, report: Reporter, boot: Boot, request: pytest.FixtureRequest):
    shutil.copytree(left_behind, rig.folder, dirs_exist_ok=True)
    boot.spoil(rig.folder / "bridge")
    chosen = _chosen(rig.folder)
    bridge = rig.bridge(
        NOBODY,
        database_url="" if boot.database else NO_DATABASE,
        editorial_path=chosen if chosen.exists() else "",
    )
    with feed_of(bridge.grpc_port) as feed:
        pages = [look_at_page(feed, f"u{number}") for number in range(PAGES)]
    sample = read_metrics(bridge.http_port)
    problems = [page.problem for page in pages if page.problem]
    age_s = sample.total(AGE)
    age_right = age_s >= boot.age_s and (math.isinf(age_s) or _is_true(age_s, rig, sample))
    report(
        "R11",
        f"trending at the start: {request.node.callspec.id}",
        target=TARGET,
        met=not problems and age_right,
        pages=len(pages),
        failed=len(problems),
        age_s=age_s if math.isfinite(age_s) else "infinite",
    )
    assert problems == []
    assert {page.source for page in pages} == {boot.source}
    assert age_right, age_s
    assert bool(sample.total(TROUBLES, list="trending", trouble="unreadable")) == boot.damaged
    if boot.database:
        assert age_s < OLD_S / 2, "it was not read anew"


@pytest.mark.postgres
def test_while_it_runs(rig: Rig, postgres: LocalPostgres, long: bool, report: Reporter):
    """The file is damaged, then lost, then the database too: what is in memory serves, and its age is told."""
    direct = fresh_postgres_url(postgres.url)
    fill(direct)
    database = rig.proxy(postgres.port)
    bridge = rig.bridge(
        NOBODY,
        database_url=direct.replace(f":{postgres.port}/", f":{database.port}/"),
        trending_refresh_ms=REFRESH_MS,
    )
    folder = rig.folder / "bridge"
    with rig.under_load(bridge, long_s=60, source="TRENDING") as run:
        for spoil in (_damage, _lose):
            spoil(folder)
            wait_for(lambda: _whole(folder), bool)
        database.cut()
        gone = time.time()
        run.pause(30 if long else 0)
        wait_for(lambda: sum(each.time > gone + 1 for each in run.watch.samples), lambda count: count >= 4, bound_s=30)
        back = time.time()
        _lose(folder)
        database.heal()
        wait_for(lambda: _whole(folder), bool)
        wait_for(lambda: read_metrics(bridge.http_port).total(AGE), lambda age_s: age_s < 1)

    without = [each for each in run.watch.samples if gone + 1 < each.time < back]
    drift_s = max(_drift_s(*pair) for pair in itertools.pairwise(without))
    report(
        "R11",
        "trending file damaged and lost, database gone, under load",
        target=TARGET,
        met=not run.calls.failed and drift_s < AGE_SLACK_S,
        **run.figures(),
        oldest_s=without[-1].total(AGE),
        age_drift_s=drift_s,
    )
    run.check()
    assert {page.source for page in run.watch.pages} == {"TRENDING"}
    assert without[-1].total(AGE) >= without[-1].time - gone - 1
    assert drift_s < AGE_SLACK_S, "the age grows as time does"


def _drift_s(older: Sample, newer: Sample) -> float:
    """Returns by how much the age grew otherwise than the time did, which is known but for what the questions took."""
    grew_s = newer.total(AGE) - older.total(AGE)
    return max(0.0, newer.time - older.answered - grew_s, grew_s - (newer.answered - older.time))


def _is_true(age_s: float, rig: Rig, sample: Sample) -> bool:
    refreshed = _stored(rig.folder / "bridge").refreshed_time
    return sample.time - refreshed - AGE_SLACK_S < age_s < sample.answered - refreshed + AGE_SLACK_S


def _whole(folder: Path) -> bool:
    try:
        return bool(_stored(folder).trends)
    except (AssertionError, ListError):
        return False
