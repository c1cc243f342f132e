"""Spans of what the sink does with a record, within the trace that its header names; used only where traces are on.

A batch is written in one transaction, so each of its traces gets a span of the whole of it.
"""

import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from eventlog.ports import Consumer, FindOffsets, Offsets, Partition, StoredRecord
from eventlog.tracing import trace_of
from interactions.sink.ports import Store, Written
from runtime.traces.tracing import Kind, SpanContext, Traces

ItemT = TypeVar("ItemT")

# Of a batch of 5,000 records 50 are drawn at 1 %; whoever draws all of them must not slow the sink down.
MAX_TRACED: Final = 100


@dataclass(frozen=True, slots=True)
class _Polled:
    """A record whose trace is kept: its place, its origin, and when it was polled, seconds of `perf_counter`."""

    place: Partition
    offset: int
    origin: SpanContext
    polled_s: float


class TracedConsumer:
    """The port `Consumer`; remembers which records are traced until they are written.

    Args:
        inner: Reads.
    """

    def __init__(self, inner: Consumer) -> None:
        self._inner = inner
        # Of a partition that went to another reader they are never written; newer ones take their places.
        self._polled: deque[_Polled] = deque(maxlen=MAX_TRACED)

    async def start(self, find_offsets: FindOffsets) -> None:
        """Begins to read."""
        await self._inner.start(find_offsets)

    async def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records; raises as the inner one."""
        records = await self._inner.poll(max_records, timeout_s)
        now_s = time.perf_counter()
        for record in records:
            origin = trace_of(record.headers)
            if origin is not None and origin.sampled:
                place = Partition(record.topic, record.partition)
                self._polled.append(_Polled(place, record.offset, origin, now_s))
        return records

    def written(self, offsets: Offsets) -> list[_Polled]:
        """Returns what is traced of the records before these offsets, and forgets it."""
        done = [each for each in self._polled if each.offset < offsets.get(each.place, 0)]
        for each in done:
            self._polled.remove(each)
        return done

    async def commit(self, offsets: Offsets) -> None:
        """Tells the log how far this reader got."""
        await self._inner.commit(offsets)

    async def lag(self) -> int | None:
        """As the inner one."""
        return await self._inner.lag()

    def not_ready(self) -> str | None:
        """As the inner one."""
        return self._inner.not_ready()

    async def close(self) -> None:
        """Closes at once."""
        await self._inner.close()


class TracedStore(Generic[ItemT]):
    """The port `Store`; makes the spans of what it has written.

    Args:
        inner: Writes.
        consumer: Knows which of it is traced.
        traces: Get the spans.
        database: What the database is, by OpenTelemetry's names.
    """

    def __init__(self, inner: Store[ItemT], consumer: TracedConsumer, traces: Traces, database: str) -> None:
        self._inner = inner
        self._consumer = consumer
        self._traces = traces
        self._database = database

    async def load_offsets(self, partitions: Collection[Partition]) -> Offsets:
        """As the inner one."""
        return await self._inner.load_offsets(partitions)

    async def write(self, items: Sequence[ItemT], offsets: Offsets) -> Written:
        """Writes as the inner one; raises as it does, and then the records are still to be written."""
        start_s = time.perf_counter()
        written = await self._inner.write(items, offsets)
        end_s = time.perf_counter()
        for polled in self._consumer.written(offsets):
            self._tell(polled, len(items), start_s, end_s)
        return written

    def _tell(self, polled: _Polled, items: int, start_s: float, end_s: float) -> None:
        topic, partition = polled.place
        name = f"process {topic}"
        span = self._traces.follow(name, Kind.CONSUMER, polled.origin, polled.polled_s)
        span.attributes.update(
            {
                "messaging.system": "feed.eventlog",
                "messaging.operation.type": "process",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(partition),
                "messaging.kafka.offset": polled.offset,
            }
        )
        writing = span.child("write", Kind.CLIENT, start_s)
        writing.attributes.update({"db.system.name": self._database, "db.operation.batch.size": items})
        writing.end(end_s)
        span.end(end_s)


def traced(consumer: Consumer, store: Store[ItemT], traces: Traces, database: str) -> tuple[Consumer, Store[ItemT]]:
    """Returns both with the spans of what goes from the one to the other."""
    reading = TracedConsumer(consumer)
    return reading, TracedStore(store, reading, traces, database)
