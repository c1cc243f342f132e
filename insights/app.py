"""Composition root of the insights."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from insights.adapters.analytics_database import DatabaseAnalytics
from insights.adapters.answers_database import DatabaseAnswers
from insights.adapters.database import READING, WRITING
from insights.adapters.experiments_database import DatabaseExperiments
from insights.adapters.ledger_database import DatabaseLedger, LedgerPolicy
from insights.adapters.outcomes_grpc import grpc_service
from insights.adapters.outcomes_rest import routes
from insights.checking import QualityCheck
from insights.domain.analytics import Destination
from insights.forwarder import Forwarder
from insights.guardian import Guardian
from insights.keeper import Keeper
from insights.metrics import InsightsMetrics
from insights.ports import Analytics
from insights.service import OutcomeService
from insights.settings import InsightsSettings
from insights.telemetry import Listeners
from runtime.grpc_server import GrpcService
from runtime.signing import load_or_create_secret
from storage.database import Database

if TYPE_CHECKING:
    from insights.adapters.telemetry_dogstatsd import DogStatsdTelemetry

# One connection keeps the ledger and looks for what is new, one tells others of it, two track.
_WRITERS: Final = 4
_READERS: Final = 2


class InsightsApp:
    """The insights as a process.

    Args:
        keeper: Keeps the ledger while the process runs.
        others: What else runs as long; nobody waits for it.
        service: What answers.
        databases: Closed with the process.
        registry: Its metrics.
        dogstatsd: The Datadog agent, if there is one.
    """

    def __init__(
        self,
        keeper: Keeper,
        others: Sequence[Guardian | Forwarder],
        service: OutcomeService,
        databases: Sequence[Database],
        registry: CollectorRegistry,
        dogstatsd: "DogStatsdTelemetry | None",
    ) -> None:
        self._keeper = keeper
        self._others = others
        self._databases = databases
        self._dogstatsd = dogstatsd
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
        if self._dogstatsd is not None:
            await self._dogstatsd.stop()

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
    dogstatsd = _dogstatsd(settings)
    telemetry = Listeners(metrics) if dogstatsd is None else Listeners(metrics, dogstatsd)
    others: list[Guardian | Forwarder] = [
        Guardian(DatabaseExperiments(writing, _now), telemetry),
        *(
            Forwarder(DatabaseAnalytics(writing, to, _now), analytics, metrics.forwarding_to(to))
            for to, analytics in _destinations(settings, metrics, dogstatsd)
        ),
    ]
    service = OutcomeService(ledger, answers, _now)
    keeper = Keeper(ledger, answers, telemetry)
    return InsightsApp(keeper, others, service, (writing, reading), registry, dogstatsd)


def _destinations(
    settings: InsightsSettings, metrics: InsightsMetrics, dogstatsd: "DogStatsdTelemetry | None"
) -> Iterator[tuple[Destination, Analytics]]:
    yield Destination.CHECK, QualityCheck(metrics)
    if dogstatsd is not None:
        yield Destination.DATADOG, dogstatsd
    write_key = settings.segment_write_key
    if write_key:
        # Only those who use the library pay for its import.
        from insights.adapters.segment import SegmentAnalytics  # noqa: PLC0415

        yield Destination.SEGMENT, SegmentAnalytics(write_key, settings.insights_segment_host)


def _dogstatsd(settings: InsightsSettings) -> "DogStatsdTelemetry | None":
    if not settings.dogstatsd_address:
        return None
    # Only those who have an agent pay for the library's import.
    from insights.adapters.telemetry_dogstatsd import DogStatsdTelemetry  # noqa: PLC0415

    return DogStatsdTelemetry(settings.dogstatsd_address, settings.datadog_tags("feed-insights"))


def _now() -> datetime:
    return datetime.now(UTC)
