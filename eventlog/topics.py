"""The topics of the feed, and how to make a broker have them as they are declared."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from eventlog.access import Grant, access_steps
from eventlog.ports import EventLogError
from eventlog.steps import TIMEOUT_S, Step

INTERACTIONS: Final = "feed.interactions.v1"
SERVED: Final = "feed.served.v1"
INTERACTIONS_DLQ: Final = "feed.interactions.v1.dlq"

# How many records the embedded journal keeps of a topic, where it keeps records that their reader has passed.
JOURNAL_KEEP: Final[Mapping[str, int]] = {SERVED: 100_000, INTERACTIONS_DLQ: 2_000}

_REACH_TIMEOUT_S: Final = 10.0
_VISIBLE_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.05
_TOPIC_LEVEL: Final = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
_BROKERS_DEFAULT: Final = -1


class TopicsError(EventLogError):
    """The broker did not make, change or tell something; the text says why. The operator mends it and runs again."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be.

    Args:
        name: Its name.
        partitions: How many; never changed later, because that would move users between partitions.
        retention_ms: How long Kafka keeps a record, in milliseconds.
        config: Further topic configuration.
    """

    name: str
    partitions: int
    retention_ms: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Copies:
    """How many brokers hold each record.

    Args:
        replication_factor: Copies of each partition; None: what the broker gives a new topic.
        min_insync_replicas: Copies that must hold a record before it is acknowledged; None: the broker's own value.
    """

    replication_factor: int | None = None
    min_insync_replicas: int | None = None


BROKERS_CHOICE: Final = Copies()


def apply(
    config: Mapping[str, Any],
    *,
    specs: Sequence[TopicSpec],
    grants: Sequence[Grant] = (),
    copies: Copies = BROKERS_CHOICE,
    say: Callable[[str], None] = print,
) -> None:
    """Brings topics and rights to their declaration; says a line for each thing; changes nothing the second time.

    Args:
        config: A librdkafka configuration to connect with.
        specs: The topics.
        grants: The rights, where the broker has an authorizer; empty: rights are left alone.
        copies: How many brokers hold each record.
        say: Takes the lines.

    Raises:
        TopicsError: When the broker cannot be reached or refuses.
    """
    with _broker(config) as admin:
        for step in _steps(admin, specs, grants, copies):
            say(step.applied())


def check(
    config: Mapping[str, Any],
    *,
    specs: Sequence[TopicSpec],
    grants: Sequence[Grant] = (),
    copies: Copies = BROKERS_CHOICE,
    say: Callable[[str], None] = print,
) -> bool:
    """Tells how the broker differs from the declaration, and changes nothing; takes what `apply` takes.

    Returns:
        Whether all is as declared.

    Raises:
        TopicsError: When the broker cannot be reached or refuses.
    """
    with _broker(config) as admin:
        steps = list(_steps(admin, specs, grants, copies))
    for step in steps:
        say(step.checked())
    return not any(step.difference for step in steps)


@contextmanager
def _broker(config: Mapping[str, Any]) -> Iterator[AdminClient]:
    timeout_ms = str(int(TIMEOUT_S * 1000))
    try:
        yield AdminClient({**config, "socket.timeout.ms": timeout_ms, "log_level": "2"})
    except KafkaException as error:
        raise TopicsError(_told(error.args[0])) from error
    except TimeoutError as error:
        raise TopicsError(f"the broker did not answer within {TIMEOUT_S:g} s") from error


def _told(error: KafkaError) -> str:
    if error.name().endswith("AUTHORIZATION_FAILED"):  # its text is a dump of the request
        return f"this user may not look at, or change, what is declared: Kafka answers {error.name()}"
    return f"Kafka answers {error.name()}: {error.str()}"


def _steps(admin: AdminClient, specs: Sequence[TopicSpec], grants: Sequence[Grant], copies: Copies) -> Iterator[Step]:
    there = admin.list_topics(timeout=_REACH_TIMEOUT_S).topics
    for spec in specs:
        if spec.name in there:
            yield from _topic_steps(admin, spec, there[spec.name], copies)
        else:
            created = f"created with {spec.partitions} partitions"
            yield Step(spec.name, "missing", created, partial(_create, admin, spec, copies))
    if grants:
        yield from access_steps(admin, grants)


def _wanted(spec: TopicSpec, copies: Copies) -> dict[str, str]:
    wanted = {
        "cleanup.policy": "delete",
        "retention.ms": str(spec.retention_ms),
        "unclean.leader.election.enable": "false",
        **spec.config,
    }
    if copies.min_insync_replicas is not None:
        wanted["min.insync.replicas"] = str(copies.min_insync_replicas)
    return wanted


def _create(admin: AdminClient, spec: TopicSpec, copies: Copies) -> None:
    factor = copies.replication_factor or _BROKERS_DEFAULT
    topic = NewTopic(spec.name, spec.partitions, factor, config=_wanted(spec, copies))
    try:
        admin.create_topics([topic])[spec.name].result(TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else applies at the same time
            raise
    # The broker that answers next may not know of it yet, and would have it missing.
    give_up_at = time.monotonic() + _VISIBLE_TIMEOUT_S
    while spec.name not in admin.list_topics(timeout=_REACH_TIMEOUT_S).topics and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)


def _topic_steps(admin: AdminClient, spec: TopicSpec, found: TopicMetadata, copies: Copies) -> Iterator[Step]:
    changed = _changed(admin, spec.name, _wanted(spec, copies))
    fixed = [*_fixed_differences(spec, found, copies)]
    if changed:
        told = ", ".join(f"{name} is not {value}" for name, value in changed.items())
        yield Step(spec.name, told, "set", partial(_set, admin, spec.name, changed))
    for difference in fixed:
        yield Step(spec.name, difference)
    if not changed and not fixed:
        yield Step(spec.name)


def _changed(admin: AdminClient, name: str, wanted: Mapping[str, str]) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    found = admin.describe_configs([resource])[resource].result(TIMEOUT_S)
    # A value that only happens to equal the broker's default would change with it, so it is set on the topic.
    own = {key: entry.value for key, entry in found.items() if entry.source == _TOPIC_LEVEL}
    return {key: value for key, value in wanted.items() if own.get(key) != value}


def _set(admin: AdminClient, name: str, changed: Mapping[str, str]) -> None:
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in changed.items()]
    update = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    admin.incremental_alter_configs([update])[update].result(TIMEOUT_S)


def _fixed_differences(spec: TopicSpec, found: TopicMetadata, copies: Copies) -> Iterator[str]:
    """What only a person can change: it moves data between partitions or brokers."""
    partitions = len(found.partitions)
    if partitions != spec.partitions:
        yield f"has {partitions} partitions, {spec.partitions} are declared"
    fewest = min((len(each.replicas) for each in found.partitions.values()), default=0)
    if copies.replication_factor is not None and fewest != copies.replication_factor:
        yield f"has {fewest} replicas, {copies.replication_factor} are wanted"
