"""Composition root of the sink."""

import asyncio
import gc
import socket
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from eventlog.metrics import EventlogMetrics
from eventlog.opening import open_consumer, open_publisher
from eventlog.ports import Consumer, Publisher
from eventlog.topics import INTERACTIONS, INTERACTIONS_DLQ
from interactions.sink.adapters.store_database import DatabaseStore
from interactions.sink.metrics import SinkMetrics
from interactions.sink.service import Sink
from interactions.sink.settings import SinkSettings
from interactions.system import System
from runtime.grpc_server import GrpcService
from storage.database import Database

# Under this name the sink's offsets are kept, in the database and in the log.
GROUP: Final = "feed-sink"

# Longest wait for the batch in hand at the end; it is read again if it takes longer.
_STOP_S: Final = 5.0


class SinkApp:
    """The sink as a process.

    Args:
        consumer: Closed with the process.
        dead_letters: Opened and closed with the process.
        database: Closed with the process.
        sink: What runs.
        registry: Its metrics.
    """

    grpc_services: Sequence[GrpcService] = ()
    http_routes: Sequence[BaseRoute] = ()

    def __init__(
        self, consumer: Consumer, dead_letters: Publisher, database: Database, sink: Sink, registry: CollectorRegistry
    ) -> None:
        self._consumer = consumer
        self._dead_letters = dead_letters
        self._database = database
        self._sink = sink
        self.registry = registry

    async def start(self) -> None:
        """Opens the log and begins to read."""
        collect_rarely()
        await self._dead_letters.start()
        self._running = asyncio.create_task(self._sink.run(), name="sink")

    async def stop(self) -> None:
        """Ends with the batch in hand, then closes everything."""
        self._sink.stop()
        _, late = await asyncio.wait((self._running,), timeout=_STOP_S)
        for task in late:
            task.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._consumer.close()
        await self._dead_letters.close()
        await self._database.close()

    def not_ready(self) -> str | None:
        """Says what holds the sink up."""
        if self._running.done():
            return "the sink has ended"
        return self._sink.not_ready()


def build(settings: SinkSettings) -> SinkApp:
    """Builds the process."""
    registry = CollectorRegistry()
    log = EventlogMetrics(registry)
    instance_id = instance_id_of(socket.gethostname(), settings.sink_http_port)
    consumer = open_consumer(settings, INTERACTIONS, GROUP, instance_id=instance_id, telemetry=log)
    dead_letters = open_publisher(settings, topics=(INTERACTIONS_DLQ,), telemetry=log)
    database = Database(settings.effective_database_url, pool_size=2)
    sink = Sink(consumer, dead_letters, DatabaseStore(database, GROUP), SinkMetrics(registry), System())
    return SinkApp(consumer, dead_letters, database, sink, registry)


def collect_rarely() -> None:
    """Lets the collector of garbage look at whole batches.

    A batch makes some 40,000 tuples, none of which outlives it: to look for circles after every 700 of them, as Python
    does by itself, finds nothing and takes a tenth of the time that is spent on an event.
    """
    gc.set_threshold(100_000, 20, 20)


def instance_id_of(host: str, http_port: int) -> str:
    """Returns the name under which a restarted sink is known again: no other has this host and port; empty: none."""
    return f"{host}-{http_port}" if http_port else ""
