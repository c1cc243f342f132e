"""The Kafka adapters on a broker of their own that goes away, comes back, and refuses credentials."""

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import AsyncIterator, Collection, Iterator

import pytest

from deploy.local.kafka import LocalKafka
from deploy.local.process import free_port
from eventlog import topics
from eventlog.adapters.consumer_kafka import KafkaConsumer
from eventlog.adapters.history_kafka import read_topic
from eventlog.adapters.publisher_kafka import KafkaPublisher
from eventlog.ports import ConsumeError, Durability, NotAcknowledgedError, Offsets, Partition, Record, StoredRecord
from eventlog.telemetry import NoTelemetry
from tests.brokers import SOON_BACK, running
from tests.polling import until

pytestmark = pytest.mark.kafka

TOPIC = "test.faults"


class Heard(NoTelemetry):
    """What was told."""

    def __init__(self) -> None:
        self.refusals = 0

    def authentication_failed(self) -> None:
        self.refusals += 1


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("eventlog.librdkafka").setLevel(logging.CRITICAL)


@pytest.fixture(scope="module")
def secured_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, secured_port: int) -> Iterator[LocalKafka]:
    """A broker with a second listener that asks for a password."""
    port, controller = free_port(), free_port()
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required user_feed=right;"
    properties = SOON_BACK | {
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{secured_port},"
        f"CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{secured_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": login,
    }
    with running(LocalKafka(tmp_path_factory.mktemp("faults"), port=port, properties=properties)) as server:
        topics.apply({"bootstrap.servers": server.bootstrap_servers}, specs=[topics.TopicSpec(TOPIC, 2, 3_600_000)])
        yield server


@pytest.fixture
async def publisher(broker: LocalKafka) -> AsyncIterator[KafkaPublisher]:
    made = KafkaPublisher({"bootstrap.servers": broker.bootstrap_servers}, topics=[TOPIC], publish_timeout_s=2)
    await made.start()
    await until_ready(made)
    yield made
    await made.close()


async def until_ready(client: KafkaPublisher) -> None:
    async def problem() -> str:
        return str(client.not_ready())

    await until(problem, "None", bound_s=30)


async def until_not_ready(client: KafkaPublisher, bound_s: float = 60) -> None:
    async def ready() -> bool:
        return client.not_ready() is None

    await until(ready, expected=False, bound_s=bound_s)


async def at_the_oldest(_partitions: Collection[Partition]) -> Offsets:
    return {}


async def read_all(broker: LocalKafka) -> list[StoredRecord]:
    config = {"bootstrap.servers": broker.bootstrap_servers}
    return await asyncio.to_thread(lambda: list(read_topic(config, TOPIC, "reader")))


async def test_what_is_acknowledged_outlives_a_killed_broker(broker: LocalKafka, publisher: KafkaPublisher) -> None:
    sent = [uuid.uuid4().hex for _ in range(600)]
    acknowledged: list[str] = []

    async def send(value: str) -> None:
        while (await publisher.publish_many([Record(TOPIC, value[0], value.encode())]))[0] is not Durability.KAFKA:
            pass
        acknowledged.append(value)

    await asyncio.gather(*map(send, sent[:300]))
    os.kill(broker.pid, signal.SIGKILL)
    sending = asyncio.gather(*map(send, sent[300:]))
    await until_not_ready(publisher)
    assert set(acknowledged) == set(sent[:300])
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)
    await sending

    await until_ready(publisher)
    assert {record.value.decode() for record in await read_all(broker)} >= set(sent)


async def test_a_reader_that_was_taken_for_another_one_reads_on(broker: LocalKafka, publisher: KafkaPublisher) -> None:
    """Who joins under its name fences it, which librdkafka calls fatal: it reads nothing any more, for ever."""
    config, group = {"bootstrap.servers": broker.bootstrap_servers}, uuid.uuid4().hex

    async def joined() -> KafkaConsumer:
        consumer = KafkaConsumer(config, TOPIC, group, instance_id="one")
        await consumer.start(at_the_oldest)
        await reads(consumer)
        return consumer

    async def reads(consumer: KafkaConsumer) -> None:
        value = uuid.uuid4().hex.encode()
        await publisher.publish_many([Record(TOPIC, "k", value)])
        async with asyncio.timeout(60):
            while value not in {record.value for record in await consumer.poll(1_000, timeout_s=0.5)}:
                pass

    first = await joined()
    second = await joined()
    with pytest.raises(ConsumeError, match="_FATAL"):
        async with asyncio.timeout(60):
            while True:
                await first.poll(10, timeout_s=0.5)
    await second.close()

    await reads(first)
    await first.close()


async def test_a_broker_that_hangs_is_noticed_and_forgiven(broker: LocalKafka, publisher: KafkaPublisher) -> None:
    """A stopped process keeps its connections: no error comes, only no answer."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        (outcome,) = await publisher.publish_many([Record(TOPIC, "k", b"v")])
        assert isinstance(outcome, NotAcknowledgedError)
        await until_not_ready(publisher)
    finally:
        os.kill(broker.pid, signal.SIGCONT)

    await until_ready(publisher)
    assert await publisher.publish_many([Record(TOPIC, "k", b"v")]) == [Durability.KAFKA]


@pytest.mark.usefixtures("broker")
async def test_a_wrong_password_is_counted_and_told(secured_port: int) -> None:
    """librdkafka does not fail: messages would time out quietly (facts part 3.2)."""
    heard = Heard()
    secured = {
        "bootstrap.servers": f"127.0.0.1:{secured_port}",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "feed",
    }
    wrong = KafkaPublisher(
        secured | {"sasl.password": "wrong"},
        publish_timeout_s=0.5,
        close_timeout_s=0.1,
        telemetry=heard,
    )
    await wrong.start()

    async def problem() -> str:
        return str(wrong.not_ready())

    await until(problem, "Kafka refuses the credentials")
    (outcome,) = await wrong.publish_many([Record(TOPIC, "k", b"v")])
    assert isinstance(outcome, NotAcknowledgedError)
    assert heard.refusals
    await wrong.close()

    right = KafkaPublisher(secured | {"sasl.password": "right"}, topics=[TOPIC])
    await right.start()
    await until_ready(right)
    assert await right.publish_many([Record(TOPIC, "k", b"v")]) == [Durability.KAFKA]
    await right.close()


async def test_a_missing_topic_is_told_by_name(broker: LocalKafka) -> None:
    publisher = KafkaPublisher({"bootstrap.servers": broker.bootstrap_servers}, topics=[TOPIC, "test.none"])
    await publisher.start()

    async def problem() -> str:
        return str(publisher.not_ready())

    await until(problem, "Kafka lacks the topic test.none, or this user may not see it")
    await publisher.close()


async def test_a_reader_finds_a_topic_and_partitions_that_come_later(broker: LocalKafka) -> None:
    topic, config = f"test.{uuid.uuid4().hex}", {"bootstrap.servers": broker.bootstrap_servers}
    consumer = KafkaConsumer(config, topic, "reader")
    await consumer.start(at_the_oldest)
    assert await consumer.poll(10, timeout_s=0.1) == []
    assert "lacks the topic" in str(consumer.not_ready())

    topics.apply(config, specs=[topics.TopicSpec(topic, 2, 3_600_000)])
    publisher = KafkaPublisher(config, topics=[topic])
    await publisher.start()
    await publisher.publish_many([Record(topic, f"u{n}", b"v") for n in range(10)])
    found: list[StoredRecord] = []
    async with asyncio.timeout(60):
        while len(found) < 10:
            found += await consumer.poll(10, timeout_s=0.5)

    assert {record.partition for record in found} == {0, 1}
    await publisher.close()
    await consumer.close()
