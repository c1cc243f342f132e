"""Composition root of the sink."""

import asyncio
import gc
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from eventlog.metrics import EventlogMetrics
from eventlog.opening import open_consumer, open_publisher
from eventlog.ports import Consumer, Publisher
from eventlog.topics import INTERACTIONS, INTERACTIONS_DLQ, SERVED
from interactions.domain.served_page import Served
from interactions.sink.adapters.served_database import DatabaseServedStore
from interactions.sink.adapters.store_database import DatabaseStore
from interactions.sink.listeners import Listeners
from interactions.sink.metrics import SinkMetrics
from interactions.sink.ports import Store, StoredEvent, Telemetry
from interactions.sink.reading import read_event, read_served
from interactions.sink.service import BatchPolicy, Sink
from interactions.sink.settings import SinkSettings
from interactions.sink.tracing import traced
from interactions.system import System
from runtime.servers.grpc_server import GrpcService
from runtime.traces.opening import OpenTraces, open_traces
from storage.database import Database

if TYPE_CHECKING:
    from interactions.sink.adapters.telemetry_dogstatsd import DogStatsdTelemetry

# Under these names the sink's offsets are kept, in the database and in the log.
GROUP: Final = "feed-sink"
SERVED_GROUP: Final = "feed-sink-served"

# Most pages of a transaction: with 20 videos each they are 10,000 rows.
_SERVED_BATCH: Final = 500
# One connection of each loop writes, one says where to go on.
_CONNECTIONS: Final = 4
# Longest wait for the batches in hand at the end; they are read again if it takes longer.
_STOP_S: Final = 5.0


class Loop(NamedTuple):
    """One topic that is brought into the database.

    Args:
        topic: Its name.
        consumer: Reads it.
        sink: Writes what is in it.
    """

    topic: str
    consumer: Consumer
    sink: Sink[Any]


class SinkApp:
    """The sink as a process.

    Args:
        loops: What runs; their consumers are closed with the process.
        dead_letters: Opened and closed with the process.
        database: Closed with the process.
        registry: Its metrics.
        traces: The traces, if there are any; ended by who serves it.
        dogstatsd: The Datadog agent, if there is one.
    """

    grpc_services: Sequence[GrpcService] = ()
    http_routes: Sequence[BaseRoute] = ()

    def __init__(
        self,
        loops: Sequence[Loop],
        dead_letters: Publisher,
        database: Database,
        registry: CollectorRegistry,
        traces: OpenTraces | None = None,
        dogstatsd: "DogStatsdTelemetry | None" = None,
    ) -> None:
        self._loops = loops
        self._dead_letters = dead_letters
        self._database = database
        self._running: list[asyncio.Task[None]] = []
        self.registry = registry
        self.traces = traces
        self._dogstatsd = dogstatsd

    async def start(self) -> None:
        """Opens the log and begins to read."""
        collect_rarely()
        await self._dead_letters.start()
        self._running = [asyncio.create_task(loop.sink.run(), name=f"sink-{loop.topic}") for loop in self._loops]

    async def stop(self) -> None:
        """Ends with the batches in hand, then closes everything."""
        for loop in self._loops:
            loop.sink.stop()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=_STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(loop.consumer.close() for loop in self._loops))
        await self._dead_letters.close()
        await self._database.close()
        if self._dogstatsd is not None:
            await self._dogstatsd.stop()

    def not_ready(self) -> str | None:
        """Says what holds the sink up."""
        if not self._running or any(task.done() for task in self._running):
            return "the sink has ended"
        problems = ((loop.topic, loop.sink.not_ready()) for loop in self._loops)
        return "; ".join(f"{topic}: {problem}" for topic, problem in problems if problem) or None


def build(settings: SinkSettings) -> SinkApp:
    """Builds the process."""
    registry = CollectorRegistry()
    log, metrics, system = EventlogMetrics(registry), SinkMetrics(registry), System()
    instance_id = instance_id_of(socket.gethostname(), settings.sink_http_port)
    events = open_consumer(settings, INTERACTIONS, GROUP, instance_id=instance_id, telemetry=log)
    pages = open_consumer(settings, SERVED, SERVED_GROUP, instance_id=instance_id, telemetry=log)
    letters = open_publisher(settings, topics=(INTERACTIONS_DLQ,), telemetry=log)
    database = Database(settings.effective_database_url, pool_size=_CONNECTIONS)
    event_store: Store[StoredEvent] = DatabaseStore(database, GROUP)
    page_store: Store[Served] = DatabaseServedStore(database, SERVED_GROUP, system)
    traces = open_traces(settings, registry, "feed-sink")
    if traces:
        events, event_store = traced(events, event_store, traces.traces, settings.database_system)
        pages, page_store = traced(pages, page_store, traces.traces, settings.database_system)
    dogstatsd = _dogstatsd(settings)

    def telemetry(topic: str) -> Telemetry:
        counted = metrics.of(topic)
        return counted if dogstatsd is None else Listeners(counted, dogstatsd.of(topic))

    of_events = Sink(events, letters, read_event, event_store, telemetry(INTERACTIONS), system)
    of_pages = Sink(pages, letters, read_served, page_store, telemetry(SERVED), system, BatchPolicy(_SERVED_BATCH))
    loops = (Loop(INTERACTIONS, events, of_events), Loop(SERVED, pages, of_pages))
    return SinkApp(loops, letters, database, registry, traces, dogstatsd)


def _dogstatsd(settings: SinkSettings) -> "DogStatsdTelemetry | None":
    if not settings.dogstatsd_address:
        return None
    # The library takes a quarter of a second to import; only those who use it pay.
    from interactions.sink.adapters.telemetry_dogstatsd import DogStatsdTelemetry  # noqa: PLC0415

    return DogStatsdTelemetry(settings.dogstatsd_address, settings.datadog_tags("feed-sink"))


def collect_rarely() -> None:
    """Lets the collector of garbage look at whole batches.

    A batch makes some 80,000 tuples, none of which outlives it: to look for circles after every 700 of them, as Python
    does by itself, finds nothing and takes a tenth of the time that is spent on an event.
    """
    gc.set_threshold(200_000, 20, 20)


def instance_id_of(host: str, http_port: int) -> str:
    """Returns the name under which a restarted sink is known again: no other has this host and port; empty: none."""
    return f"{host}-{http_port}" if http_port else ""
