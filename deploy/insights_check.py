"""`feed insights check`: whether every answered page is told once, and every event whole."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from sqlalchemy.exc import SQLAlchemyError

from bridge.settings import BridgeSettings
from deploy.bridge_counters import BridgeError, Shown, read_counters
from deploy.database_command import fail, open_once
from deploy.served_log import ServedLog, read_log
from deploy.topics import declared
from eventlog.history import history
from eventlog.ports import EventLogError
from eventlog.topics import JOURNAL_KEEP, SERVED
from insights.adapters.quality_database import DatabaseQuality
from insights.domain.analytics import EventName
from insights.domain.page_books import Difference, PageBooks, differences
from insights.domain.quality import Problem, problems_of
from insights.ports import LedgerUnavailableError
from runtime.settings import SettingsError, load
from runtime.tls.identity import tls_of
from storage.database import Database
from storage.limits import Limits

# Under this name Kafka lets it read; nothing is kept under it.
GROUP: Final = "feed-insights-check"

_AGAIN_S: Final = 1.0
_LIMITS: Final = Limits(statement_timeout_s=30.0, read_only=True)
# Bridges that were started further apart than this had others before them, whose pages nobody counts.
_TOGETHER_S: Final = 60.0
_TABLES_KEEP_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Args:
        counts: How much there is, by what it is.
        notes: What could not be compared.
        problems: How many events have each problem, by what they are.
        differences: Where the books do not agree.
    """

    counts: Mapping[str, int]
    notes: Sequence[str]
    problems: Mapping[str, Counter[Problem]]
    differences: Sequence[Difference]

    @property
    def may_settle(self) -> bool:
        """Whether what is wrong may be right in a moment."""
        return any(each.may_settle for each in self.differences)

    def wrong(self) -> Iterator[str]:
        """Yields a line for each thing that is wrong."""
        for what, problems in self.problems.items():
            for problem, count in sorted(problems.items()):
                yield f"{what}: {problem.field}: {problem.text} ({count} times)"
        for difference in self.differences:
            yield difference.text


def check(
    *,
    bridge: Annotated[
        list[str] | None, typer.Option(help="address of a bridge's metrics, once for each; default: the one here")
    ] = None,
    patience: Annotated[float, typer.Option(min=0, help="seconds that what is on its way may take")] = 30.0,
    rows: Annotated[int, typer.Option(min=1, help="how many of a table's newest rows are looked at")] = 100_000,
) -> None:
    """Hold answered pages, log, tables and ledger against each other, look at every field; exit 1: not all is well."""
    try:
        settings = load(BridgeSettings, os.environ)
        open_once(settings.effective_database_url)
        scheme = "https" if settings.serves_tls else "http"
        urls = bridge or [f"{scheme}://{settings.bridge_host}:{settings.bridge_http_port}/metrics"]
        found = asyncio.run(_settled(settings, urls, rows, patience))
    except SettingsError as error:
        fail(f"wrong settings:\n{error}", code=2)
    except (BridgeError, EventLogError, LedgerUnavailableError, SQLAlchemyError) as error:
        fail(str(error))
    for what, count in found.counts.items():
        typer.echo(f"{what:<34}{count:>12,}")
    for note in found.notes:
        typer.echo(f"not compared: {note}")
    wrong = [*found.wrong()]
    for line in wrong:
        typer.echo(f"WRONG: {line}")
    raise typer.Exit(1 if wrong else 0)


async def _settled(settings: BridgeSettings, urls: Sequence[str], rows: int, patience_s: float) -> Findings:
    """Looks until nothing may be on its way any more, or has been for too long."""
    end_s = time.monotonic() + patience_s
    database = Database(settings.effective_database_url, pool_size=1, limits=_LIMITS)
    try:
        while True:
            found = await _look(settings, urls, DatabaseQuality(database, lambda: datetime.now(UTC)), rows)
            if not found.may_settle or time.monotonic() >= end_s:
                return found
            await asyncio.sleep(_AGAIN_S)
    finally:
        await database.close()


async def _look(settings: BridgeSettings, urls: Sequence[str], tables: DatabaseQuality, rows: int) -> Findings:
    tls = tls_of(settings)
    before = await asyncio.to_thread(read_counters, urls, tls)
    log = await asyncio.to_thread(lambda: read_log(history(settings, SERVED, GROUP), min(before.started_s)))
    after = await asyncio.to_thread(read_counters, urls, tls)
    notes = [*_incomparable(settings, log, after)]
    stored = await tables.stored(log.videos)
    since = datetime.fromtimestamp(min(before.started_s), UTC)
    books = PageBooks(
        before=None if notes else before.counters,
        after=None if notes else after.counters,
        videos=log.videos,
        contradicted=log.contradicted,
        stored=stored,
        entries=await tables.entries(log.videos),
        forgotten=max(0, await tables.stored_since(since) - len(stored)),
    )
    problems = {f"records of {SERVED}": log.problems}
    looked_at = {}
    for name in EventName:
        looked_at[name], problems[name.value] = await _of_table(tables, name, rows)
    counts = {
        "pages answered by the bridges": after.counters.answered,
        f"pages on {SERVED}": len(books.videos),
        "copies of their records": log.copies,
        "pages in the database": len(books.stored),
        "pages on the ledger": len(books.entries),
        "served pages looked at": looked_at[EventName.SERVED],
        "consumed events looked at": looked_at[EventName.CONSUMED],
    }
    return Findings(counts, notes, problems, [*differences(books)])


def _incomparable(settings: BridgeSettings, log: ServedLog, shown: Shown) -> Iterator[str]:
    age_s = time.time() - min(shown.started_s)
    # What the embedded log has let go of, the tables still have, for a day.
    kept_s = _retention_s() if settings.kafka_bootstrap_servers else _TABLES_KEEP_S
    is_cut = age_s > kept_s or (not settings.kafka_bootstrap_servers and log.count >= JOURNAL_KEEP[SERVED])
    if is_cut and not log.reaches_back:
        yield f"pages answered, since {SERVED} has not all of their records any more"
    if max(shown.started_s) - min(shown.started_s) > _TOGETHER_S:
        yield "pages answered, since the bridges and their workers were not started together"


def _retention_s() -> float:
    return next(spec.retention_ms / 1000 for spec in declared().topics if spec.name == SERVED)


async def _of_table(tables: DatabaseQuality, name: EventName, rows: int) -> tuple[int, Counter[Problem]]:
    count, problems = 0, Counter[Problem]()
    async for events in tables.newest_events(name, rows):
        count += len(events)
        problems.update(problem for event in events for problem in problems_of(event))
    return count, problems
