"""Composition root of the insights."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from insights.adapters import corrections_grpc, corrections_rest, outcomes_grpc, outcomes_rest
from insights.adapters.analytics_database import DatabaseAnalytics
from insights.adapters.answers_database import DatabaseAnswers
from insights.adapters.audited_models import AuditedModels
from insights.adapters.corrections_database import DatabaseCorrections
from insights.adapters.database import READING, WRITING
from insights.adapters.experiment_desk_database import DatabaseExperimentDesk
from insights.adapters.experiments_database import DatabaseExperiments
from insights.adapters.exposition_http import HttpExposition
from insights.adapters.ledger_database import DatabaseLedger, LedgerPolicy
from insights.adapters.models_folder import ModelsFolder
from insights.adapters.pages_database import DatabasePages
from insights.adapters.pulse_database import DatabasePulse
from insights.adapters.sign_outs_database import DatabaseSignOuts
from insights.adapters.trainings_database import DatabaseTrainings
from insights.checking import QualityCheck
from insights.correction_service import CorrectionService
from insights.domain.analytics import Destination
from insights.domain.wellness import METRICS
from insights.entrance import entrance_of
from insights.forwarder import Forwarder
from insights.guardian import Guardian
from insights.keeper import Keeper
from insights.metrics import InsightsMetrics
from insights.page.algorithms import AlgorithmsPage
from insights.page.corrections import CorrectionsPage
from insights.page.experiments import ExperimentsPage
from insights.page.explanation import ExplanationPage
from insights.page.models import ModelsPage
from insights.page.overview import OverviewPage
from insights.page.site import Site
from insights.page.trends import TrendsPage
from insights.page.views import Page
from insights.ports import Analytics
from insights.service import OutcomeService
from insights.settings import InsightsSettings
from insights.telemetry import Listeners
from insights.watcher import Watcher
from runtime.secrets.secret_ring import SecretRing
from runtime.servers.grpc_server import GrpcService
from runtime.tls.identity import tls_of
from runtime.traces.opening import OpenTraces, open_traces
from storage.database import Database

if TYPE_CHECKING:
    from insights.adapters.telemetry_dogstatsd import DogStatsdTelemetry

# One connection keeps the ledger and looks for what is new, one tells others of it, two track.
_WRITERS: Final = 4
_READERS: Final = 2
# Pages have their own, so that one that is slow holds up no answer.
_PAGE_READERS: Final = 2


class _Other(Protocol):
    """What runs beside the keeper."""

    async def run(self) -> None:
        """Runs until it is cancelled."""


class _Databases(NamedTuple):
    """The pools of connections, so that nobody waits for somebody else's.

    Args:
        writing: Of who keeps the books.
        reading: Of who looks at what he has just written.
        editing: Of pages on which something is changed, and of who asks who has signed out.
        answering: Of who answers, maybe from a replica.
        shown: Of pages that only show, maybe from a replica.
    """

    writing: Database
    reading: Database
    editing: Database
    answering: Database
    shown: Database


class _Offer(NamedTuple):
    """What can be called."""

    grpc_services: Sequence[GrpcService]
    http_routes: Sequence[BaseRoute]


class InsightsApp:
    """The insights as a process.

    Args:
        keeper: Keeps the ledger while the process runs.
        others: What else runs as long; nobody waits for it.
        offer: What can be called.
        databases: Closed with the process.
        registry: Its metrics.
        dogstatsd: The Datadog agent, if there is one.
        traces: The traces, if there are any; ended by who serves it.
    """

    def __init__(
        self,
        keeper: Keeper,
        others: Sequence[_Other],
        offer: _Offer,
        databases: Sequence[Database],
        registry: CollectorRegistry,
        dogstatsd: "DogStatsdTelemetry | None",
        traces: OpenTraces | None = None,
    ) -> None:
        self._keeper = keeper
        self._others = others
        self._databases = databases
        self._dogstatsd = dogstatsd
        self.traces = traces
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.grpc_services = offer.grpc_services
        self.http_routes = offer.http_routes
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
    databases = _databases(settings)
    policy = LedgerPolicy(
        SecretRing(settings.token_key_path).secrets, settings.outcome_window, settings.insights_late_after_ms
    )
    ledger, answers = DatabaseLedger(databases.writing, policy, _now), DatabaseAnswers(databases.reading)
    metrics = InsightsMetrics(registry)
    dogstatsd = _dogstatsd(settings)
    traces = open_traces(settings, registry, "feed-insights")
    telemetry = Listeners(metrics) if dogstatsd is None else Listeners(metrics, dogstatsd)
    watcher = Watcher(HttpExposition(METRICS, tls=tls_of(settings)), settings.watched)
    others: list[_Other] = [
        watcher,
        Guardian(DatabaseExperiments(databases.writing, _now), telemetry),
        *(
            Forwarder(DatabaseAnalytics(databases.writing, to, _now), analytics, metrics.forwarding_to(to))
            for to, analytics in _destinations(settings, metrics, dogstatsd)
        ),
    ]
    outcomes = OutcomeService(ledger, DatabaseAnswers(databases.answering), _now)
    corrections = CorrectionService(DatabaseCorrections(databases.writing, databases.reading, _now))
    entrance = entrance_of(settings, DatabaseSignOuts(databases.writing, databases.editing, _now))
    site = Site(_pages(settings, databases, watcher, metrics, corrections), entrance.sign_in, entrance.doors)
    others.extend(entrance.others)
    offer = _Offer(
        (outcomes_grpc.grpc_service(outcomes), corrections_grpc.grpc_service(corrections)),
        (*outcomes_rest.routes(outcomes), *corrections_rest.routes(corrections), *site.routes()),
    )
    return InsightsApp(Keeper(ledger, answers, telemetry), others, offer, databases, registry, dogstatsd, traces)


def _databases(settings: InsightsSettings) -> _Databases:
    url, replica_url = settings.effective_database_url, settings.insights_replica_url
    writing = Database(url, pool_size=_WRITERS, limits=WRITING)
    here = (_reading(url, _READERS), _reading(url, _PAGE_READERS))
    there = (_reading(replica_url, _READERS), _reading(replica_url, _PAGE_READERS)) if replica_url else here
    return _Databases(writing, *here, *there)


def _reading(url: str, pool_size: int) -> Database:
    return Database(url, pool_size=pool_size, limits=READING)


def _pages(
    settings: InsightsSettings,
    databases: _Databases,
    watcher: Watcher,
    metrics: InsightsMetrics,
    corrections: CorrectionService,
) -> Sequence[Page]:
    writing, editing, shown = databases.writing, databases.editing, databases.shown
    answers = DatabaseAnswers(shown)
    folder = ModelsFolder(settings.models_dir, settings.model_public_key_path)
    return (
        OverviewPage(watcher, answers, DatabasePulse(shown), metrics.ledger_age_s, _now),
        AlgorithmsPage(answers, _now),
        TrendsPage(answers, _now),
        ExperimentsPage(DatabaseExperimentDesk(writing, editing, _now)),
        ModelsPage(DatabaseTrainings(editing), AuditedModels(folder, writing, _now)),
        CorrectionsPage(DatabaseCorrections(writing, editing, _now), corrections),
        ExplanationPage(DatabasePages(shown)),
    )


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
