"""How long answers about ten million served videos take, over HTTP: `python -m tests.bench answers`.

All of them lie within the thirty days that are asked for. The database has what they leave in the sums, which is all
that these answers read. It takes some minutes, so it is in no default run.
"""

import asyncio
import logging
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog

from deploy.local.postgres import LocalPostgres
from insights.app import build
from insights.domain.funnel import Split
from insights.settings import InsightsSettings
from runtime.process import Service
from runtime.settings import load
from storage.database import upgrade
from tests.bench import decisions, figures
from tests.http import call

CALLS: Final = 50
AT_MOST_MS: Final = 200.0
# First paint of a page.
PAGE_MS: Final = 1_000.0


def figure(folder: Path) -> None:
    """Measures on both databases."""
    url = f"sqlite:///{folder / 'feed.db'}"
    _measure("SQLite", url, folder)
    server = LocalPostgres(folder / "postgres")
    server.start()
    try:
        _measure("PostgreSQL", server.url, folder)
    finally:
        server.stop()


def _measure(name: str, url: str, folder: Path) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    upgrade(url)
    kinds = decisions.fill(url, datetime.now(UTC).date())
    figures.show("answers", f"kinds of {decisions.DECISIONS:,} served videos, {name}", value=kinds, unit="kinds")
    # No other process is there to be watched.
    environ = {"FEED_DATA_DIR": str(folder), "FEED_DATABASE_URL": url, "FEED_INSIGHTS_WATCHED": ""}
    asyncio.run(_ask(name, load(InsightsSettings, environ)))


async def _ask(name: str, settings: InsightsSettings) -> None:
    async with Service("insights", build(settings)) as service:
        for path in _paths():
            await _asked(service.http_port, path)
            begin_s = time.process_time()
            answers = [await _asked(service.http_port, path) for _ in range(CALLS)]
            _tell(f"{path}, {name}", answers, (time.process_time() - begin_s) / CALLS * 1e3)


def _tell(what: str, answers: Sequence[tuple[float, bool]], cpu_ms: float) -> None:
    """Tells a figure; of the CPU, what this process took, the caller and all else that it does included."""
    times, failed = [ms for ms, _ in answers], sum(not is_ok for _, is_ok in answers)
    p99 = statistics.quantiles(times, n=100, method="inclusive")[98]
    most = AT_MOST_MS if what.startswith("/feed/") else PAGE_MS
    told = {"p99_ms": p99, "cpu_ms": cpu_ms, "failed": failed}
    target, met = f"p99 < {most:g} ms, none fails", p99 < most and not failed
    figures.show("answers", what, value=statistics.median(times), unit="ms", **told, target=target, met=met)


def _paths() -> list[str]:
    since = (datetime.now(UTC) - timedelta(days=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    splits = ["SPLIT_BY_UNSPECIFIED", *(split.name for split in Split)]
    return [
        "/feed/acceptance-rate",
        "/feed/algorithm-performance",
        *(f"/feed/funnel?splitBy={split}" for split in splits),
        *(f"/feed/trends?splitBy={split}" for split in splits),
        f"/feed/trends?splitBy=VARIANT&since={since}",
        "/algorithms",
        "/trends",
        "/trends?split=country",
    ]


async def _asked(port: int, path: str) -> tuple[float, bool]:
    """Returns how long an answer took, in milliseconds, and whether it is one."""
    begin = time.perf_counter()
    answer = await call(port, "GET", path)
    return (time.perf_counter() - begin) * 1e3, answer.status == HTTPStatus.OK
