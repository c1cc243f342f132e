"""The logs under contract: in memory, the embedded journal, a real Kafka, and that with a journal behind it."""

import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventlog import topics
from eventlog.adapters.backlog_journal import JournalBacklog
from eventlog.adapters.consumer_journal import JournalConsumer
from eventlog.adapters.consumer_kafka import KafkaConsumer
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.adapters.publisher_kafka import KafkaPublisher
from eventlog.domain.router import Way
from eventlog.fake import MemoryLog
from eventlog.ports import Consumer, Durability, Offsets, Partition, Publisher
from eventlog.publisher_spooled import SpooledPublisher
from eventlog.telemetry import NoTelemetry
from tests.polling import until

# How long a spooled publisher waits for Kafka: as long as it takes, or not at all.
SPOOLED = {"kafka first": 60.0, "journal behind": 0.0}


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
        if isinstance(publisher, SpooledPublisher) and self.durability is Durability.KAFKA:
            await until_kafka_is_the_way(publisher)
        return publisher

    async def consumer(self, offsets: Offsets | None = None, group: str = "reader") -> Consumer:
        async def find_offsets(partitions: Collection[Partition]) -> Offsets:
            return {place: offset for place, offset in (offsets or {}).items() if place in partitions}

        consumer = self.make_consumer(group)
        await consumer.start(find_offsets)
        self.opened.push_async_callback(consumer.close)
        return consumer


async def until_kafka_is_the_way(publisher: SpooledPublisher) -> None:
    async def way() -> Way:
        return publisher.way

    await until(way, Way.KAFKA)


@pytest.fixture(
    params=["memory", "journal", *(pytest.param(name, marks=pytest.mark.kafka) for name in ("kafka", *SPOOLED))]
)
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    topic = f"test.{uuid.uuid4().hex}"
    async with AsyncExitStack() as opened:
        if request.param == "memory":
            memory = MemoryLog()
            yield Log(topic, Durability.JOURNAL, memory.publisher, lambda _group: memory.consumer(topic), opened)
        elif request.param == "journal":
            path = tmp_path / "journal"
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
            wait_s = SPOOLED.get(request.param)
            durability = Durability.JOURNAL if wait_s == 0 else Durability.KAFKA

            def publisher() -> Publisher:
                kafka = KafkaPublisher(config, topics=[topic])
                return kafka if wait_s is None else spooled(kafka, tmp_path / "journal", topic, wait_s)

            yield Log(
                topic, durability, publisher, lambda group: KafkaConsumer(config, topic, f"{topic}-{group}"), opened
            )


def spooled(kafka: KafkaPublisher, path: Path, topic: str, wait_s: float) -> SpooledPublisher:
    backlog = JournalBacklog(path, (topic,))
    return SpooledPublisher(kafka, JournalPublisher(path), backlog, telemetry=NoTelemetry(), wait_s=wait_s)
