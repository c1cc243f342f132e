"""The local broker: a real one, started and stopped here."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.local.errors import LocalServerError
from deploy.local.kafka import LocalKafka
from tests.polling import wait_for

pytestmark = pytest.mark.kafka
# A stopped broker is what these tests are about: the clients need not log it.
QUIET: dict[str, Any] = {"log_level": "0", "error_cb": lambda _: None}
# An undeclared topic is given up at once, not after 30 s in which it might be on its way.
FAST = {"topic.metadata.propagation.max.ms": 500}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    broker = LocalKafka(tmp_path_factory.mktemp("kafka"))
    try:
        broker.start()
    except LocalServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs a real server: {error}")
    yield broker
    broker.stop()


def publish(broker: LocalKafka, topic: str, value: bytes) -> KafkaError | None:
    outcome: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "message.timeout.ms": 10_000, **QUIET, **FAST})
    producer.produce(topic, value=value, on_delivery=lambda error, _: outcome.append(error))
    producer.flush(15)
    return outcome[0]


def read(broker: LocalKafka, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "test", "auto.offset.reset": "earliest", **QUIET}
    )
    consumer.subscribe([topic])
    found: list[bytes] = []

    def poll() -> list[bytes]:
        message = consumer.poll(0.5)
        if message is not None and not message.error():
            found.append(message.value() or b"")
        return found

    try:
        return wait_for(poll, lambda values: len(values) >= count, bound_s=20)
    finally:
        consumer.close()


def test_topics_outlive_a_restart_on_the_same_address_and_none_appears_by_use(broker: LocalKafka) -> None:
    address, first_pid = broker.bootstrap_servers, broker.pid
    admin = AdminClient({"bootstrap.servers": address, **QUIET})
    admin.create_topics([NewTopic("kept", 3, 1)])["kept"].result(10)
    assert publish(broker, "kept", b"one") is None
    refused = publish(broker, "never-declared", b"lost")
    assert refused is not None
    assert refused.code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._MSG_TIMED_OUT)

    broker.stop()
    assert not broker.is_running
    with pytest.raises(LocalServerError, match="kafka is not running"):
        _ = broker.pid
    broker.start()

    assert broker.bootstrap_servers == address
    assert broker.pid != first_pid
    assert publish(broker, "kept", b"two") is None
    assert sorted(read(broker, "kept", 2)) == [b"one", b"two"]


def test_a_second_start_is_refused_and_harms_nothing(broker: LocalKafka) -> None:
    with pytest.raises(LocalServerError, match=f"kafka is running already, pid {broker.pid}"):
        broker.start()
    assert broker.is_running


def test_a_broker_that_cannot_start_says_why_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = LocalKafka(tmp_path, properties={"log.retention.ms": "soon"})
    with pytest.raises(LocalServerError, match=r"(?s)cannot be formatted.*log\.retention\.ms"):
        broken.start()
    assert not broken.is_running


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(LocalServerError, match=f"Port {port} for Kafka is taken"):
            LocalKafka(tmp_path, port=port).start()


def test_the_command_runs_until_sigterm_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.local", "kafka", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("kafka ready on 127.0.0.1:")
        pid = int(ready.split("pid ")[1])
        os.kill(pid, 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
