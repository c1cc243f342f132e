"""The journal behind Kafka, on a broker that is stopped and killed: nothing lost, nothing out of order."""

import asyncio
import logging
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local.kafka import LocalKafka
from eventlog import topics
from eventlog.adapters.history_kafka import read_topic
from eventlog.domain.router import Way
from eventlog.opening import open_publisher
from eventlog.ports import Durability, Record, StoredRecord
from eventlog.publisher_spooled import SpooledPublisher
from runtime.settings import CommonSettings, load
from tests.brokers import as_new
from tests.polling import until

pytestmark = pytest.mark.kafka

USERS = 8
# Callers at a time; each sends the next record once the last one is acknowledged.
CALLERS = 16


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("eventlog.librdkafka").setLevel(logging.CRITICAL)


@pytest.fixture
def broker(killable_kafka: LocalKafka) -> LocalKafka:
    return as_new(killable_kafka)


@dataclass
class Traffic:
    """Callers that publish numbered records of some users, and what they were told."""

    publisher: SpooledPublisher
    topic: str
    sent: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    acknowledged: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    durabilities: set[Durability] = field(default_factory=set)
    stopping: bool = False

    async def publish(self, user: str) -> None:
        """Publishes the next record of a user."""
        number = self.sent[user]
        self.sent[user] += 1
        (outcome,) = await self.publisher.publish_many([Record(self.topic, user, f"{user} {number}".encode())])
        assert isinstance(outcome, Durability), outcome
        self.durabilities.add(outcome)
        self.acknowledged[user].append(number)

    async def run(self, caller: int) -> None:
        while not self.stopping:
            await self.publish(f"u{caller % USERS}")
            await asyncio.sleep(0.005)

    @property
    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    def check(self, found: list[StoredRecord]) -> None:
        """Asserts that all acknowledged is in the topic, and first copies of each user are in order."""
        firsts: dict[str, list[int]] = defaultdict(list)
        for value in dict.fromkeys(record.value for record in found):
            user, number = value.decode().split()
            firsts[user].append(int(number))
        for user, numbers in self.acknowledged.items():
            assert set(numbers) <= set(firsts[user])
        for numbers in firsts.values():
            assert numbers == sorted(numbers)


@asynccontextmanager
async def traffic(servers: str, topic: str, spool: Path) -> AsyncIterator[Traffic]:
    """Traffic under way, from Kafka being the way on; at the end everything is drained into Kafka."""
    topics.apply({"bootstrap.servers": servers}, specs=[topics.TopicSpec(topic, 3, 3_600_000)], say=lambda _: None)
    settings = load(CommonSettings, {"FEED_KAFKA_BOOTSTRAP_SERVERS": servers})
    publisher = open_publisher(settings, topics=(topic,), spool=spool)
    assert isinstance(publisher, SpooledPublisher)
    async with AsyncExitStack() as undo:
        await publisher.start()
        undo.push_async_callback(publisher.close)
        await until_way(publisher, Way.KAFKA)
        made = Traffic(publisher, topic)
        callers = [asyncio.create_task(made.run(number)) for number in range(CALLERS)]
        yield made
        await until_way(publisher, Way.KAFKA)
        made.stopping = True
        await asyncio.gather(*callers)
        await until_way(publisher, Way.KAFKA)


async def until_way(publisher: SpooledPublisher, way: Way) -> None:
    async def now() -> Way:
        return publisher.way

    await until(now, way, bound_s=60)


async def until_more(made: Traffic, count: int) -> None:
    """Waits until so many more records are acknowledged."""
    target = made.count + count

    async def there() -> bool:
        return made.count >= target

    await until(there, expected=True, bound_s=60)


async def read_all(servers: str, topic: str) -> list[StoredRecord]:
    return await asyncio.to_thread(lambda: list(read_topic({"bootstrap.servers": servers}, topic, "reader")))


async def test_a_broker_that_hangs_costs_nothing(broker: LocalKafka, tmp_path: Path) -> None:
    """Stopped, it keeps its connections and says nothing; the journal takes over after the wait (R14 in small)."""
    async with traffic(broker.bootstrap_servers, "test.hangs", tmp_path / "journal") as made:
        await until_more(made, 500)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            await until_more(made, 2_000)
            assert made.publisher.way is Way.JOURNAL
            assert made.publisher.not_ready() is None
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        await until_way(made.publisher, Way.KAFKA)
        await until_more(made, 500)

    assert made.durabilities == {Durability.KAFKA, Durability.JOURNAL}
    made.check(await read_all(broker.bootstrap_servers, made.topic))


async def test_a_broker_that_is_killed_costs_nothing(broker: LocalKafka, tmp_path: Path) -> None:
    """SIGKILL under load, twice (R15 in small)."""
    async with traffic(broker.bootstrap_servers, "test.killed", tmp_path / "journal") as made:
        for _ in range(2):
            await until_more(made, 300)
            os.kill(broker.pid, signal.SIGKILL)
            await until_more(made, 500)
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            await until_way(made.publisher, Way.KAFKA)

    made.check(await read_all(broker.bootstrap_servers, made.topic))
