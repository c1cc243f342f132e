"""S10: who has the ingest's credentials may write interactions, and nothing else."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
)

from deploy.local.kafka_security import ADMIN
from eventlog.topics import INTERACTIONS, SERVED
from tests.chaos.conftest import Reporter
from tests.secured_kafka import PRODUCER, SecuredKafka

pytestmark = pytest.mark.kafka

TARGET = "8 of 8 denied; write allowed"
BOUND_S = 10.0
READER = {"group.id": "feed-sink", "enable.auto.commit": False, "auto.offset.reset": "earliest"}

DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}

Config = dict[str, Any]


def write(config: Config, topic: str = INTERACTIONS) -> None:
    producer = Producer({**config, "enable.idempotence": True, "message.timeout.ms": 10_000})
    errors: list[KafkaError | None] = []
    producer.produce(topic, b"{}", b"u1", on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(BOUND_S) == 0
    if errors[0] is not None:
        raise KafkaException(errors[0])


def write_elsewhere(config: Config) -> None:
    write(config, SERVED)


def read(config: Config) -> None:
    """Without using the group, so that the topic's own right is what stops it."""
    consumer = Consumer({**config, **READER})
    try:
        consumer.assign([TopicPartition(INTERACTIONS, partition, 0) for partition in range(6)])
        _first(consumer, but=KafkaError.GROUP_AUTHORIZATION_FAILED)
    finally:
        consumer.close()


def use_a_group(config: Config) -> None:
    consumer = Consumer({**config, **READER})
    try:
        consumer.subscribe([INTERACTIONS])
        _first(consumer, but=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    finally:
        consumer.close()


def create(config: Config) -> None:
    admin = AdminClient(config)
    admin.create_topics([NewTopic("feed.stray", 1, 1)])["feed.stray"].result(BOUND_S)


def delete(config: Config) -> None:
    admin = AdminClient(config)
    admin.delete_topics([INTERACTIONS])[INTERACTIONS].result(BOUND_S)


def alter(config: Config) -> None:
    entry = ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
    update = ConfigResource(ResourceType.TOPIC, INTERACTIONS, incremental_configs=[entry])
    admin = AdminClient(config)
    admin.incremental_alter_configs([update])[update].result(BOUND_S)


def use_a_transaction(config: Config) -> None:
    Producer({**config, "transactional.id": "feed"}).init_transactions(BOUND_S)


def act_on_the_cluster(config: Config) -> None:
    """Takes the administrator's password away."""
    deletion = UserScramCredentialDeletion(ADMIN, ScramMechanism.SCRAM_SHA_512)
    admin = AdminClient(config)
    admin.alter_user_scram_credentials([deletion])[ADMIN].result(BOUND_S)


FORBIDDEN: tuple[Callable[[Config], None], ...] = (
    read,
    write_elsewhere,
    create,
    delete,
    alter,
    use_a_group,
    use_a_transaction,
    act_on_the_cluster,
)


def test_the_producer_may_write_and_nothing_else(secured_kafka: SecuredKafka, report: Reporter) -> None:
    config: Config = {**secured_kafka.config(PRODUCER), "log_level": 0}
    write(config)
    denied = [probe.__name__ for probe in FORBIDDEN if _is_denied(probe, config)]
    report(
        "S10",
        "feed-rec-producer tries what it may not, on a real broker with StandardAuthorizer",
        target=TARGET,
        met=len(denied) == len(FORBIDDEN),
        denied=len(denied),
        tried=len(FORBIDDEN),
        write_allowed=True,
    )
    assert denied == [probe.__name__ for probe in FORBIDDEN]
    write(config)


def test_the_same_is_possible_for_who_may(secured_kafka: SecuredKafka) -> None:
    """Otherwise a probe that never works would count as denied."""
    config: Config = {**secured_kafka.config(), "log_level": 0}
    for probe in (write, write_elsewhere, read, use_a_group, use_a_transaction):
        probe(config)


def _is_denied(probe: Callable[[Config], None], config: Config) -> bool:
    try:
        probe(config)
    except KafkaException as error:
        return error.args[0].code() in DENIED
    return False


def _first(consumer: Consumer, but: int) -> None:
    """Waits for a record, or for a refusal other than one."""
    end_s = time.monotonic() + BOUND_S
    while time.monotonic() < end_s:
        message = consumer.poll(0.5)
        error = message.error() if message else None
        if message and not error:
            return
        if error and error.code() != but:
            raise KafkaException(error)
    raise AssertionError("neither a record nor a refusal")
