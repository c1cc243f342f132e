"""The logs under contract: in memory, the embedded journal, and a real Kafka."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventlog import topics
from eventlog.adapters.consumer_journal import JournalConsumer
from eventlog.adapters.consumer_kafka import KafkaConsumer
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.adapters.publisher_kafka import KafkaPublisher
from eventlog.fake import MemoryLog
from eventlog.ports import Consumer, Durability, Offsets, Publisher


@dataclass
class Log:
    """One kind of log with an empty topic; what it opens is closed when the test ends."""

    topic: str
    durability: Durability
    make_publisher: Callable[[], Publisher]
    make_consumer: Callable[[str], Consumer]
    opened: AsyncExitStack

    async def publisher(self) -> Publisher:
        publisher = self.make_publisher()
        await publisher.start()
        self.opened.push_async_callback(publisher.close)
        return publisher

    async def consumer(self, offsets: Offsets | None = None, group: str = "reader") -> Consumer:
        consumer = self.make_consumer(group)
        await consumer.start(offsets or {})
        self.opened.push_async_callback(consumer.close)
        return consumer


@pytest.fixture(params=["memory", "journal", pytest.param("kafka", marks=pytest.mark.kafka)])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    topic = f"test.{uuid.uuid4().hex}"
    async with AsyncExitStack() as opened:
        if request.param == "memory":
            memory = MemoryLog()
            yield Log(topic, Durability.JOURNAL, memory.publisher, lambda _group: memory.consumer(topic), opened)
        elif request.param == "journal":
            path = tmp_path / "journal.db"
            yield Log(
                topic,
                Durability.JOURNAL,
                lambda: JournalPublisher(path),
                lambda group: JournalConsumer(path, topic, group),
                opened,
            )
        else:
            config = {"bootstrap.servers": request.getfixturevalue("kafka").bootstrap_servers}
            topics.apply(config, specs=[topics.TopicSpec(topic, partitions=3, retention_ms=3_600_000)])
            yield Log(
                topic,
                Durability.KAFKA,
                lambda: KafkaPublisher(config, topics=[topic]),
                lambda group: KafkaConsumer(config, topic, group),
                opened,
            )
