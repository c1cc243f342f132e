"""An event log in memory that keeps the promises of the ports; for tests and for trying things out."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from eventlog.batch import Batch
from eventlog.ports import (
    ConsumeError,
    Durability,
    FindOffsets,
    NotAcknowledgedError,
    Offsets,
    Outcome,
    Partition,
    PublishError,
    Record,
    StoredRecord,
)


class MemoryLog:
    """Topics of one partition each, shared by the publishers and consumers made from it."""

    def __init__(self) -> None:
        self._topics: dict[str, list[StoredRecord]] = {}
        self._grown = asyncio.Event()

    def records(self, topic: str) -> list[StoredRecord]:
        """Returns everything in a topic, in order."""
        return list(self._topics.get(topic, ()))

    def append(self, record: Record) -> None:
        """Puts a record at the end of its topic."""
        topic = self._topics.setdefault(record.topic, [])
        now_ms = time.time_ns() // 1_000_000
        topic.append(
            StoredRecord(record.topic, 0, len(topic), record.key, record.value, record.headers, append_time_ms=now_ms)
        )
        self._grown.set()
        self._grown = asyncio.Event()

    async def wait_grown(self, timeout_s: float) -> None:
        """Waits until something is appended, or the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._grown.wait()
        except TimeoutError:
            return

    def publisher(self) -> "MemoryPublisher":
        """Makes a publisher."""
        return MemoryPublisher(self)

    def consumer(self, topic: str) -> "MemoryConsumer":
        """Makes a consumer."""
        return MemoryConsumer(self, topic)


class MemoryPublisher:
    """Publishes into a MemoryLog; `failures` holds outcomes that the next records get instead of being kept."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._closed = False
        self.failures: deque[PublishError] = deque()

    async def start(self) -> None:
        """Does nothing: memory is open."""

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        """Appends the records."""
        batch = Batch(records)
        for index in batch.unsettled():
            batch.settle(index, self._publish(records[index]))
        return await batch.outcomes(timeout_s=0)

    def not_ready(self) -> str | None:
        """Says whether it was closed or is told to fail."""
        if self._closed:
            return "closed"
        return str(self.failures[0]) if self.failures else None

    async def close(self) -> None:
        """Refuses everything from now on."""
        self._closed = True

    def _publish(self, record: Record) -> Outcome:
        if self._closed:
            return NotAcknowledgedError("closed")
        if self.failures:
            return self.failures.popleft()
        self._log.append(record)
        return Durability.JOURNAL


class MemoryConsumer:
    """Reads a MemoryLog; `failing` makes every poll raise."""

    def __init__(self, log: MemoryLog, topic: str) -> None:
        self._log = log
        self._partition = Partition(topic, 0)
        self._next: int | None = None
        self.committed = 0
        self.failing = False

    async def start(self, find_offsets: FindOffsets) -> None:
        """Notes whom to ask where to begin."""
        self._find_offsets = find_offsets

    async def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records."""
        if self.failing:
            raise ConsumeError("told to fail")
        self._next = start = self._next if self._next is not None else await self._first()
        if start >= len(self._log.records(self._partition.topic)):
            await self._log.wait_grown(timeout_s)
        if self._next is None:
            return []
        found = self._log.records(self._partition.topic)[start : start + max_records]
        self._next = start + len(found)
        return found

    def reassign(self) -> None:
        """Takes the partition away and gives it back, as a group does when readers come and go."""
        self._next = None

    async def commit(self, offsets: Offsets) -> None:
        """Keeps the position."""
        self.committed = offsets.get(self._partition, self.committed)

    async def lag(self) -> int | None:
        """Returns the number of records after the committed one."""
        if self.failing or self._next is None:
            return None
        return len(self._log.records(self._partition.topic)) - self.committed

    def not_ready(self) -> str | None:
        """Says whether it is told to fail."""
        return "told to fail" if self.failing else None

    async def close(self) -> None:
        """Does nothing: memory needs no closing."""

    async def _first(self) -> int:
        start = (await self._find_offsets([self._partition])).get(self._partition, 0)
        end = len(self._log.records(self._partition.topic))
        self.committed = start if start <= end else 0
        return self.committed
