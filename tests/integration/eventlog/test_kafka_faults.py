"""The Kafka adapters on a broker of their own that goes away, comes back, and refuses credentials."""

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.errors import LocalServerError
from deploy.local.kafka import LocalKafka
from deploy.local.process import free_port
from eventlog import topics
from eventlog.adapters.consumer_kafka import KafkaConsumer
from eventlog.adapters.publisher_kafka import KafkaPublisher
from eventlog.ports import Durability, NotAcknowledgedError, Record, StoredRecord
from tests.polling import until

pytestmark = pytest.mark.kafka

TOPIC = "test.faults"


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
    properties = {
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{secured_port},"
        f"CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{secured_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": login,
    }
    server = LocalKafka(tmp_path_factory.mktemp("faults"), port=port, properties=properties)
    try:
        server.start()
    except LocalServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs a real server: {error}")
    topics.apply({"bootstrap.servers": server.bootstrap_servers}, specs=[topics.TopicSpec(TOPIC, 2, 3_600_000)])
    yield server
    server.stop()


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


async def until_not_ready(client: KafkaPublisher, bound_s: float = 15) -> None:
    async def ready() -> bool:
        return client.not_ready() is None

    await until(ready, expected=False, bound_s=bound_s)


async def read_all(broker: LocalKafka) -> list[StoredRecord]:
    consumer = KafkaConsumer({"bootstrap.servers": broker.bootstrap_servers}, TOPIC, "reader")
    await consumer.start({})
    found: list[StoredRecord] = []
    while batch := await consumer.poll(500, timeout_s=3):
        found += batch
    await consumer.close()
    return found


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
    refused: list[None] = []
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
        on_authentication_failure=lambda: refused.append(None),
    )
    await wrong.start()

    async def problem() -> str:
        return str(wrong.not_ready())

    await until(problem, "Kafka refuses the credentials")
    (outcome,) = await wrong.publish_many([Record(TOPIC, "k", b"v")])
    assert isinstance(outcome, NotAcknowledgedError)
    assert refused
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
    await consumer.start({})
    assert await consumer.poll(10, timeout_s=0.1) == []
    assert "lacks the topic" in str(consumer.not_ready())

    topics.apply(config, specs=[topics.TopicSpec(topic, 2, 3_600_000)])
    publisher = KafkaPublisher(config, topics=[topic])
    await publisher.start()
    await publisher.publish_many([Record(topic, f"u{n}", b"v") for n in range(10)])
    found: list[StoredRecord] = []
    async with asyncio.timeout(20):
        while len(found) < 10:
            found += await consumer.poll(10, timeout_s=0.5)

    assert {record.partition for record in found} == {0, 1}
    await publisher.close()
    await consumer.close()


def test_applying_topics_twice_changes_nothing_and_differences_are_mended(broker: LocalKafka) -> None:
    config, name = {"bootstrap.servers": broker.bootstrap_servers}, f"test.{uuid.uuid4().hex}"
    said: list[str] = []

    def apply(spec: topics.TopicSpec) -> str:
        topics.apply(config, specs=[spec], say=said.append)
        return said[-1].removeprefix(f"{name}: ")

    assert apply(topics.TopicSpec(name, 2, 1_000)) == "created, 2 partitions, 1 replicas"
    assert apply(topics.TopicSpec(name, 2, 1_000)) == "as declared"
    assert apply(topics.TopicSpec(name, 2, 2_000)) == "set retention.ms=2000"
    assert apply(topics.TopicSpec(name, 3, 2_000)) == "as declared; has 2 partitions, 3 are declared: left alone"


def test_a_refusal_of_the_broker_is_told(broker: LocalKafka) -> None:
    config = {"bootstrap.servers": broker.bootstrap_servers}

    with pytest.raises(topics.TopicsError, match=r"(?i)replication factor"):
        topics.apply(config, replication_factor=3, specs=[topics.TopicSpec(f"test.{uuid.uuid4().hex}", 1, 1_000)])


def test_the_topics_of_the_feed_are_declared(broker: LocalKafka) -> None:
    said: list[str] = []
    topics.apply({"bootstrap.servers": broker.bootstrap_servers}, say=said.append)

    assert [line.split(":")[0] for line in said] == [topics.INTERACTIONS, topics.SERVED, topics.INTERACTIONS_DLQ]
