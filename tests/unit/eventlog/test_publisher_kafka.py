"""The Kafka publisher without a broker: bounded waits, and true words about what is wrong."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError

from eventlog.adapters.kafka_probe import Probe
from eventlog.adapters.kafka_reports import outcome_of
from eventlog.adapters.publisher_kafka import PRODUCER_CONFIG, KafkaPublisher
from eventlog.batch import Batch
from eventlog.ports import Durability, LogFullError, NotAcknowledgedError, Record, RecordTooLargeError
from eventlog.telemetry import NoTelemetry
from tests.polling import until


class Heard(NoTelemetry):
    """What was told."""

    def __init__(self) -> None:
        self.rebuilds = 0
        self.refusals = 0
        self.ready: list[bool] = []

    def producer_rebuilt(self) -> None:
        self.rebuilds += 1

    def authentication_failed(self) -> None:
        self.refusals += 1

    def kafka_ready(self, ready: bool) -> None:
        self.ready.append(ready)


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that nobody listens on, held so that nobody can."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("eventlog.librdkafka").setLevel(logging.CRITICAL)


async def test_no_broker_means_not_acknowledged_in_time(dead_port: int) -> None:
    publisher = KafkaPublisher(
        {"bootstrap.servers": f"127.0.0.1:{dead_port}"}, publish_timeout_s=0.3, close_timeout_s=0.1
    )
    await publisher.start()

    async with asyncio.timeout(2):
        outcomes = await publisher.publish_many([Record("t", "k", b"v")] * 2)

    assert [type(outcome) for outcome in outcomes] == [NotAcknowledgedError] * 2
    await publisher.close()


async def test_no_broker_is_not_ready(dead_port: int) -> None:
    publisher = KafkaPublisher({"bootstrap.servers": f"127.0.0.1:{dead_port}"}, close_timeout_s=0.1)
    assert publisher.not_ready() == "not started"
    await publisher.start()

    async def problem() -> str:
        return str(publisher.not_ready())

    await until(problem, "no Kafka broker answers")
    await publisher.close()
    assert publisher.not_ready() == "closed"


async def test_a_full_queue_refuses_with_a_hint(dead_port: int) -> None:
    publisher = KafkaPublisher(
        {"bootstrap.servers": f"127.0.0.1:{dead_port}", "queue.buffering.max.messages": "5"},
        publish_timeout_s=0.1,
        close_timeout_s=0.1,
    )
    await publisher.start()

    outcomes = await publisher.publish_many([Record("t", "k", b"v")] * 8)

    assert [type(outcome) for outcome in outcomes] == [NotAcknowledgedError] * 5 + [LogFullError] * 3
    await publisher.close()


async def test_a_fatal_error_rebuilds_the_producer(dead_port: int) -> None:
    """What the dead one held is reported at once, before the new one comes: who sends on knows of the gap."""
    heard = Heard()
    publisher = KafkaPublisher(
        {"bootstrap.servers": f"127.0.0.1:{dead_port}"}, telemetry=heard, publish_timeout_s=60, close_timeout_s=0.1
    )
    await publisher.start()
    dead = publisher._producer
    assert dead is not None
    publishing = asyncio.create_task(publisher.publish_many([Record("t", "k", b"v")]))
    await asyncio.sleep(0)
    assert len(dead) >= 1

    publisher._on_error(KafkaError(KafkaError._FATAL, "told to", fatal=True))
    (outcome,) = await publishing
    assert isinstance(outcome, NotAcknowledgedError)
    assert publisher._producer is dead
    assert heard.rebuilds == 1

    async def replaced() -> bool:
        return publisher._producer is not dead

    await until(replaced, expected=True)
    await publisher.close()


async def test_after_a_refusal_nothing_of_the_call_is_queued(dead_port: int) -> None:
    """Sent alone, what is behind a refused record would come before it."""
    publisher = KafkaPublisher(
        {"bootstrap.servers": f"127.0.0.1:{dead_port}", "queue.buffering.max.messages": "3"}, close_timeout_s=0.1
    )
    await publisher.start()
    batch = Batch([Record("t", "k", b"v")] * 5)

    publisher.send(batch)

    assert batch.has_failed
    assert list(batch.unsettled()) == [0, 1, 2]
    await publisher.close()


async def test_refused_credentials_are_told_at_once_and_fail_at_once(dead_port: int) -> None:
    """They must not look like slowness: nobody waits for the timeout."""
    heard = Heard()
    publisher = KafkaPublisher(
        {"bootstrap.servers": f"127.0.0.1:{dead_port}"}, telemetry=heard, publish_timeout_s=60, close_timeout_s=0.1
    )
    await publisher.start()

    publisher._on_error(KafkaError(KafkaError._AUTHENTICATION, "told to"))
    async with asyncio.timeout(5):
        (outcome,) = await publisher.publish_many([Record("t", "k", b"v")])

    assert heard.refusals == 1
    assert publisher.not_ready() == "Kafka refuses the credentials"
    assert isinstance(outcome, NotAcknowledgedError)
    assert str(outcome) == "Kafka refuses the credentials"
    await publisher.close()


async def test_whether_kafka_is_ready_is_told(dead_port: int) -> None:
    heard = Heard()
    publisher = KafkaPublisher({"bootstrap.servers": f"127.0.0.1:{dead_port}"}, telemetry=heard, close_timeout_s=0.1)
    await publisher.start()

    async def told() -> list[bool]:
        return heard.ready

    await until(told, [False])
    await publisher.close()


@pytest.mark.parametrize(("timeout_s", "timeout_ms"), [(0, 0), (120.0, 120_000)])
def test_how_long_a_record_may_wait_in_the_queue(timeout_s: float, timeout_ms: int) -> None:
    """0 is for ever: where a journal holds a copy, a record that times out would let others of its key pass it."""
    assert KafkaPublisher({}, message_timeout_s=timeout_s)._config["delivery.timeout.ms"] == timeout_ms


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        pytest.param(KafkaError._MSG_TIMED_OUT, NotAcknowledgedError, id="timed out"),
        pytest.param(KafkaError.NOT_ENOUGH_REPLICAS, NotAcknowledgedError, id="too few replicas"),
        pytest.param(KafkaError.TOPIC_AUTHORIZATION_FAILED, NotAcknowledgedError, id="not allowed"),
        pytest.param(KafkaError._QUEUE_FULL, LogFullError, id="queue full"),
        pytest.param(KafkaError.MSG_SIZE_TOO_LARGE, RecordTooLargeError, id="too large"),
    ],
)
def test_errors_of_kafka_become_ours(code: int, outcome: type[Exception]) -> None:
    assert isinstance(outcome_of(KafkaError(code)), outcome)


def test_only_a_report_without_error_is_durable() -> None:
    assert outcome_of(None) is Durability.KAFKA


def test_the_producer_is_idempotent_and_bounded() -> None:
    wanted = {"enable.idempotence": True, "acks": "all", "partitioner": "murmur2_random"}
    assert wanted.items() <= PRODUCER_CONFIG.items()
    assert PRODUCER_CONFIG["queue.buffering.max.messages"] == 20_000


@pytest.mark.parametrize(
    ("errors", "problem"),
    [
        pytest.param([], "Kafka has not answered yet", id="nothing yet"),
        pytest.param([KafkaError._ALL_BROKERS_DOWN], "no Kafka broker answers", id="down"),
        pytest.param([KafkaError._AUTHENTICATION], "Kafka refuses the credentials", id="refused"),
        pytest.param(
            [KafkaError._AUTHENTICATION, KafkaError._ALL_BROKERS_DOWN],
            "Kafka refuses the credentials",
            id="refused, then down: the cause stays",
        ),
        pytest.param([KafkaError._TRANSPORT], "Kafka has not answered yet", id="one connection lost: heals itself"),
    ],
)
def test_probe_tells_the_cause(errors: list[int], problem: str) -> None:
    probe = Probe(["t"])
    for code in errors:
        probe.suspect(KafkaError(code))
    assert probe.problem == problem
