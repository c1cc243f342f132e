"""A Kafka publisher that does what it is told, without a broker."""

import asyncio
from collections import deque

from eventlog.batch import Batch
from eventlog.ports import Durability, LogFullError, NotAcknowledgedError, Outcome, Record


class ScriptedKafka:
    """Keeps what it is sent in a queue, and confirms it in order: by itself after a while, or when it is told to.

    Args:
        latency_s: How long a confirmation takes, in seconds; None: until `confirm`.
    """

    def __init__(self, latency_s: float | None = 0.001) -> None:
        self.latency_s = latency_s
        self.problem: str | None = None
        self.room = 1_000_000
        self.topic: list[Record] = []
        self.queue: deque[tuple[Batch, int]] = deque()

    async def start(self) -> None:
        """Does nothing."""

    def send(self, batch: Batch) -> None:
        """Queues it while there is room."""
        indices = list(batch.unsettled())
        room = max(0, self.room - len(self.queue))
        self.queue.extend((batch, index) for index in indices[:room])
        if self.latency_s is not None:
            asyncio.get_running_loop().call_later(self.latency_s, self.confirm, len(indices))
        for index in indices[room:]:
            batch.refuse(index, LogFullError("full"))

    def confirm(self, count: int = 1_000_000) -> None:
        """Confirms the oldest that are queued."""
        for _ in range(min(count, len(self.queue))):
            batch, index = self.queue.popleft()
            self.topic.append(batch.records[index])
            batch.settle(index, Durability.KAFKA)

    def refuse(self, count: int, outcome: Outcome | None = None) -> None:
        """Refuses the oldest that are queued."""
        for _ in range(count):
            batch, index = self.queue.popleft()
            batch.refuse(index, outcome or NotAcknowledgedError("told to"))

    def poll(self) -> None:
        """Does nothing: confirmations come by themselves."""

    def not_ready(self) -> str | None:
        """Says what it is told to say."""
        return self.problem

    async def close(self) -> None:
        """Does nothing."""
