"""Composition root of the ingest service."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from eventlog.metrics import EventlogMetrics
from eventlog.opening import open_publisher
from eventlog.ports import Publisher
from eventlog.topics import INTERACTIONS
from eventlog.tracing import TracedPublisher
from interactions.adapters.consent_database import DatabaseConsent
from interactions.adapters.interactions_grpc import grpc_service
from interactions.adapters.interactions_rest import routes
from interactions.adapters.tracker_js import tracker_js_routes
from interactions.consent import ConsentWatch
from interactions.metrics import InteractionsMetrics
from interactions.service import Recorder
from interactions.settings import InteractionsSettings
from interactions.system import System
from interactions.telemetry import Listeners
from runtime.servers.grpc_server import GrpcService
from runtime.traces.opening import OpenTraces, open_traces

if TYPE_CHECKING:
    from interactions.adapters.telemetry_dogstatsd import DogStatsdTelemetry


class InteractionsApp:
    """The ingest service as a process.

    Args:
        publisher: Where events become durable; opened and closed with the process.
        recorder: What answers.
        registry: Its metrics.
        cors_origins: Origins of the pages that may call `/api/track`.
        consent: Follows who wants to be known, and where that stands; None: nobody does.
        traces: The traces, if there are any; ended by who serves it.
        dogstatsd: The Datadog agent, if there is one.
    """

    def __init__(
        self,
        publisher: Publisher,
        recorder: Recorder,
        registry: CollectorRegistry,
        cors_origins: Sequence[str] = (),
        consent: tuple[ConsentWatch, DatabaseConsent] | None = None,
        traces: OpenTraces | None = None,
        dogstatsd: "DogStatsdTelemetry | None" = None,
    ) -> None:
        self._publisher = publisher
        self._recorder = recorder
        self.grpc_services: Sequence[GrpcService] = (grpc_service(recorder),)
        self.http_routes: Sequence[BaseRoute] = (*routes(recorder, cors_origins), *tracker_js_routes())
        self._consent = consent
        self.registry = registry
        self.traces = traces
        self._dogstatsd = dogstatsd

    async def start(self) -> None:
        """Opens the log."""
        if self._consent is not None:
            await self._consent[0].start()
        await self._publisher.start()

    async def stop(self) -> None:
        """Sends what is queued and closes the log."""
        await self._recorder.close()
        await self._publisher.close()
        if self._consent is not None:
            watch, reader = self._consent
            await watch.stop()
            await reader.close()
        if self._dogstatsd is not None:
            await self._dogstatsd.stop()

    def not_ready(self) -> str | None:
        """Says why an event sent now would not become durable."""
        return self._publisher.not_ready()


def build(settings: InteractionsSettings) -> InteractionsApp:
    """Builds the process."""
    registry = CollectorRegistry()
    metrics = InteractionsMetrics(registry)
    publisher: Publisher = open_publisher(
        settings,
        topics=(INTERACTIONS,),
        telemetry=EventlogMetrics(registry),
        publish_timeout_s=settings.interactions_publish_timeout_ms / 1000,
        journal_max_bytes=settings.interactions_journal_max_mb * 1_000_000,
        spool=settings.data_dir / "interactions" / "journal",
        kafka_wait_s=settings.interactions_kafka_wait_ms / 1000,
    )
    traces = open_traces(settings, registry, "feed-interactions")
    if traces:
        publisher = TracedPublisher(publisher)
    reader = DatabaseConsent(settings.effective_database_url)
    watch = ConsentWatch(reader, settings.interactions_consent_poll_ms / 1000)
    dogstatsd = _dogstatsd(settings)
    telemetry = metrics if dogstatsd is None else Listeners(metrics, dogstatsd)
    recorder = Recorder(publisher, telemetry, System(), watch)
    return InteractionsApp(publisher, recorder, registry, settings.cors_origins, (watch, reader), traces, dogstatsd)


def _dogstatsd(settings: InteractionsSettings) -> "DogStatsdTelemetry | None":
    if not settings.dogstatsd_address:
        return None
    # The library takes a quarter of a second to import; only those who use it pay.
    from interactions.adapters.telemetry_dogstatsd import DogStatsdTelemetry  # noqa: PLC0415

    return DogStatsdTelemetry(settings.dogstatsd_address, settings.datadog_tags("feed-interactions"))
