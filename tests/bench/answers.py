"""How long answers about ten million served videos take, over HTTP: `python -m tests.bench answers`.

All of them lie within the thirty days that are asked for. The database has the videos themselves, with what became of
each, and what they leave in the sums. It takes half an hour, so it is in no default run.
"""

import asyncio
import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final

import sqlalchemy as sa
import structlog

from deploy.local.postgres import LocalPostgres
from insights.app import build
from insights.domain.funnel import Split
from insights.settings import InsightsSettings
from runtime.process import Service
from runtime.settings import load
from storage.database import sync_engine, upgrade
from storage.tables import outcome_days, prediction_outcomes, recommendation_decisions
from tests.bench import decisions, editorial, figures
from tests.bench.statements import Statements
from tests.http import call

CALLS: Final = 50
AT_MOST_MS: Final = 200.0
# First paint of a page.
PAGE_MS: Final = 1_000.0


def figure(folder: Path) -> None:
    """Measures on both databases."""
    url = f"sqlite:///{folder / 'feed.db'}"
    _fill_and_measure("SQLite", url, folder)
    server = LocalPostgres(folder / "postgres")
    server.start()
    try:
        _fill_and_measure("PostgreSQL", server.url, folder)
    finally:
        server.stop()


def _fill_and_measure(name: str, url: str, folder: Path) -> None:
    upgrade(url)
    now = datetime.now(UTC)
    kinds = decisions.fill(url, now)
    figures.show("answers", f"kinds of {decisions.DECISIONS:,} served videos, {name}", value=kinds, unit="kinds")
    measure(name, url, folder, asyncio.run(editorial.put(url, now)))


def measure(name: str, url: str, folder: Path, corrections: Mapping[str, str]) -> None:
    """Asks for every answer.

    Args:
        name: Of the database.
        url: Of the database, which is filled.
        folder: For the process.
        corrections: Ids by what they are about.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    _same_on_both_sides(name, url)
    # No other process is there to be watched.
    environ = {"FEED_DATA_DIR": str(folder), "FEED_DATABASE_URL": url, "FEED_INSIGHTS_WATCHED": ""}
    asyncio.run(_ask(name, load(InsightsSettings, environ), _paths(corrections, _a_page(url))))


def _same_on_both_sides(name: str, url: str) -> None:
    """Tells whether the sums are of the videos that are there."""
    entry, day = prediction_outcomes.c, outcome_days.c
    accepted = ("consumed", "watched", "liked", "added", "shared", "rated")
    rows = sa.select(sa.func.count(), sa.func.count().filter(entry.user_action.in_(accepted)))
    sums = sa.select(sa.func.sum(day.served), sa.func.sum(sum((day[each] for each in accepted), sa.literal(0))))
    engine = sync_engine(url)
    with engine.connect() as connection:
        counted, summed = (tuple(map(int, connection.execute(wanted).one())) for wanted in (rows, sums))
    engine.dispose()
    what = f"served videos of which there are sums, {name}"
    figures.show("answers", what, value=summed[0], unit="videos", reference=counted[0], met=counted == summed)


def _a_page(url: str) -> str:
    engine = sync_engine(url)
    with engine.connect() as connection:
        found = connection.scalar(sa.select(recommendation_decisions.c.recommendation_id).limit(1))
    engine.dispose()
    return str(found)


async def _ask(name: str, settings: InsightsSettings, paths: Mapping[str, str]) -> None:
    async with Service("insights", build(settings)) as service:
        for what, path in paths.items():
            with Statements() as statements:
                await _asked(service.http_port, path)
            begin_s = time.process_time()
            answers = [await _asked(service.http_port, path) for _ in range(CALLS)]
            cpu_ms = (time.process_time() - begin_s) / CALLS * 1e3
            _tell(f"{what}, {name}", path, answers, cpu_ms, await statements.took_ms(settings.effective_database_url))


def _tell(what: str, path: str, answers: Sequence[tuple[float, bool]], cpu_ms: float, sql_ms: float) -> None:
    """Tells a figure; of the CPU, what this process took, the caller and all else that it does included."""
    times, failed = [ms for ms, _ in answers], sum(not is_ok for _, is_ok in answers)
    p99 = statistics.quantiles(times, n=100, method="inclusive")[98]
    most = AT_MOST_MS if path.startswith("/feed/") else PAGE_MS
    told = {"p99_ms": p99, "cpu_ms": cpu_ms, "sql_ms": sql_ms, "failed": failed}
    target, met = f"p99 < {most:g} ms, none fails", p99 < most and not failed
    figures.show("answers", what, value=statistics.median(times), unit="ms", **told, target=target, met=met)


def _paths(corrections: Mapping[str, str], page: str) -> dict[str, str]:
    """Returns what is asked for by what is said of it."""
    week = (datetime.now(UTC) - timedelta(days=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    splits = ["SPLIT_BY_UNSPECIFIED", *(split.name for split in Split)]
    asked = [
        "/feed/acceptance-rate",
        "/feed/acceptance-rate?algorithm=lightfm-warp",
        "/feed/acceptance-rate?userId=u0",
        "/feed/acceptance-rate?userId=u50000",
        "/feed/acceptance-rate?userId=u0&algorithm=lightfm-warp",
        "/feed/algorithm-performance",
        *(f"/feed/funnel?splitBy={split}" for split in splits),
        *(f"/feed/trends?splitBy={split}" for split in splits),
        *(f"/feed/trends?splitBy={split}&since={week}" for split in splits),
        "/",
        "/algorithms",
        "/trends",
        "/trends?split=country",
        "/experiments",
        f"/experiments/named/{editorial.EXPERIMENT}",
        "/models",
        "/corrections",
        f"/explain?id={page}",
        "/explain?id=u0",
    ]
    effects = {
        f"effect on {about}, days on each side: {hours // 24}": f"/feed/corrections/{each}/effect?windowH={hours}"
        for about, each in corrections.items()
        for hours in (24, 360)
    }
    return {path.split(f"={page}")[0]: path for path in asked} | effects


async def _asked(port: int, path: str) -> tuple[float, bool]:
    """Returns how long an answer took, in milliseconds, and whether it is one."""
    begin = time.perf_counter()
    answer = await call(port, "GET", path)
    return (time.perf_counter() - begin) * 1e3, answer.status == HTTPStatus.OK
