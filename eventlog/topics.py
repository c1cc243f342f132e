"""The topics of the feed, and how to make a broker have them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourceType,
)

from eventlog.ports import EventLogError

INTERACTIONS: Final = "feed.interactions.v1"
SERVED: Final = "feed.served.v1"
INTERACTIONS_DLQ: Final = "feed.interactions.v1.dlq"

_DAY_MS: Final = 86_400_000
_TIMEOUT_S: Final = 20.0
_REACH_TIMEOUT_S: Final = 10.0
_TOPIC_LEVEL: Final = ConfigSource.DYNAMIC_TOPIC_CONFIG.value


class TopicsError(EventLogError):
    """The broker did not make or change a topic; the text says which and why. The operator mends it and runs again."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be.

    Args:
        name: Its name.
        partitions: How many; never changed later, because that would move users between partitions.
        retention_ms: How long Kafka keeps a record, in milliseconds.
        journal_keep: How many records the embedded journal keeps; None: all that its reader has not passed.
        config: Further topic configuration.
    """

    name: str
    partitions: int
    retention_ms: int
    journal_keep: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)

    def full_config(self, min_insync_replicas: int) -> dict[str, str]:
        """Returns the whole topic configuration."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "min.insync.replicas": str(min_insync_replicas),
            "unclean.leader.election.enable": "false",
            **self.config,
        }


# 30 days at most, because an event carries a user id and an erasure must reach the log within that time.
DECLARED: Final = (
    TopicSpec(INTERACTIONS, partitions=6, retention_ms=7 * _DAY_MS),
    TopicSpec(SERVED, partitions=6, retention_ms=7 * _DAY_MS, journal_keep=20_000),
    TopicSpec(INTERACTIONS_DLQ, partitions=1, retention_ms=30 * _DAY_MS, journal_keep=2_000),
)


def apply(
    config: Mapping[str, str],
    *,
    replication_factor: int = 1,
    min_insync_replicas: int = 1,
    specs: Sequence[TopicSpec] = DECLARED,
    say: Callable[[str], None] = print,
) -> None:
    """Makes the topics exist with their configuration; says one line a topic; changes nothing the second time.

    Args:
        config: Connection part of a librdkafka configuration.
        replication_factor: Copies of each partition; 1 for a lone broker, 3 in production.
        min_insync_replicas: Copies that must hold a record before it is acknowledged; 1, or 2 in production.
        specs: The topics.
        say: Takes the lines.

    Raises:
        TopicsError: When the broker cannot be reached or refuses.
    """
    admin = AdminClient({**config, "socket.timeout.ms": str(int(_TIMEOUT_S * 1000)), "log_level": "2"})
    try:
        admin.list_topics(timeout=_REACH_TIMEOUT_S)
        for spec in specs:
            wanted = spec.full_config(min_insync_replicas)
            if _create(admin, spec, wanted, replication_factor):
                say(f"{spec.name}: created, {spec.partitions} partitions, {replication_factor} replicas")
            else:
                say(_update(admin, spec, wanted))
    except KafkaException as error:
        raise TopicsError(f"the topics could not be applied: {error.args[0].str()}") from error
    except TimeoutError as error:
        raise TopicsError(f"the broker did not answer within {_TIMEOUT_S:g} s") from error


def _create(admin: AdminClient, spec: TopicSpec, wanted: dict[str, str], replication_factor: int) -> bool:
    """Returns False when the topic is there already; metadata read before may not know that yet."""
    topic = NewTopic(spec.name, spec.partitions, replication_factor, config=wanted)
    try:
        admin.create_topics([topic])[spec.name].result(_TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True


def _update(admin: AdminClient, spec: TopicSpec, wanted: dict[str, str]) -> str:
    resource = ConfigResource(ResourceType.TOPIC, spec.name)
    found = admin.describe_configs([resource])[resource].result(_TIMEOUT_S)
    # A value that only happens to equal the broker's default would change with it, so it is set on the topic.
    own = {name: entry.value for name, entry in found.items() if entry.source == _TOPIC_LEVEL}
    changed = {name: value for name, value in wanted.items() if own.get(name) != value}
    if changed:
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in changed.items()
        ]
        update = ConfigResource(ResourceType.TOPIC, spec.name, incremental_configs=entries)
        admin.incremental_alter_configs([update])[update].result(_TIMEOUT_S)
    return f"{spec.name}: {_told(changed)}{_told_partitions(admin, spec)}"


def _told(changed: Mapping[str, str]) -> str:
    return "set " + ", ".join(f"{name}={value}" for name, value in changed.items()) if changed else "as declared"


def _told_partitions(admin: AdminClient, spec: TopicSpec) -> str:
    partitions = len(admin.list_topics(spec.name, timeout=_TIMEOUT_S).topics[spec.name].partitions)
    if partitions == spec.partitions:
        return ""
    return f"; has {partitions} partitions, {spec.partitions} are declared: left alone"
