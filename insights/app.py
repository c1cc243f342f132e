"""Composition root of the insights."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from insights.adapters.analytics_database import DatabaseAnalytics
from insights.adapters.answers_database import DatabaseAnswers
from insights.adapters.database import READING, WRITING
from insights.adapters.experiments_database import DatabaseExperiments
from insights.adapters.ledger_database import DatabaseLedger, LedgerPolicy
from insights.adapters.outcomes_grpc import grpc_service
from insights.adapters.outcomes_rest import routes
from insights.forwarder import Forwarder
from insights.guardian import Guardian
from insights.keeper import Keeper
from insights.metrics import InsightsMetrics
from insights.service import OutcomeService
from insights.settings import InsightsSettings
from runtime.grpc_server import GrpcService
from runtime.signing import load_or_create_secret
from storage.database import Database

# One connection keeps the ledger and looks for what is new, the others track.
_WRITERS: Final = 3
_READERS: Final = 2


class InsightsApp:
    """The insights as a process.

    Args:
        keeper: Keeps the ledger while the process runs.
        others: What else runs as long; nobody waits for it.
        service: What answers.
        databases: Closed with the process.
        registry: Its metrics.
    """

    def __init__(
        self,
        keeper: Keeper,
        others: Sequence[Guardian | Forwarder],
        service: OutcomeService,
        databases: Sequence[Database],
        registry: CollectorRegistry,
    ) -> None:
        self._keeper = keeper
        self._others = others
        self._databases = databases
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.grpc_services: Sequence[GrpcService] = (grpc_service(service),)
        self.http_routes: Sequence[BaseRoute] = routes(service)
        self.registry = registry

    async def start(self) -> None:
        """Begins to keep the ledger."""
        self._keeping = asyncio.create_task(self._keeper.run(), name="insights-keeper")
        self._tasks = [self._keeping, *(asyncio.create_task(each.run()) for each in self._others)]

    async def stop(self) -> None:
        """Leaves the step in hand undone, which is done again at the next start, and closes everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for database in self._databases:
            await database.close()

    def not_ready(self) -> str | None:
        """Says what holds the ledger up."""
        if self._keeping is None or self._keeping.done():
            return "the ledger is not kept"
        return self._keeper.not_ready()


def build(settings: InsightsSettings) -> InsightsApp:
    """Builds the process."""
    registry = CollectorRegistry()
    url = settings.effective_database_url
    writing = Database(url, pool_size=_WRITERS, limits=WRITING)
    reading = Database(url, pool_size=_READERS, limits=READING)
    policy = LedgerPolicy(load_or_create_secret(settings.token_key_path), settings.outcome_window)
    ledger, answers = DatabaseLedger(writing, policy, _now), DatabaseAnswers(reading)
    metrics = InsightsMetrics(registry)
    others: list[Guardian | Forwarder] = [
        Guardian(DatabaseExperiments(writing, _now), metrics),
        *_forwarders(settings, writing, metrics),
    ]
    service = OutcomeService(ledger, answers, _now)
    return InsightsApp(Keeper(ledger, answers, metrics), others, service, (writing, reading), registry)


def _forwarders(settings: InsightsSettings, database: Database, metrics: InsightsMetrics) -> Iterator[Forwarder]:
    write_key = settings.segment_write_key
    if write_key:
        # Only those who use the library pay for its import.
        from insights.adapters.segment import SegmentAnalytics  # noqa: PLC0415

        segment = SegmentAnalytics(write_key, settings.insights_segment_host)
        yield Forwarder(DatabaseAnalytics(database), segment, metrics)


def _now() -> datetime:
    return datetime.now(UTC)
