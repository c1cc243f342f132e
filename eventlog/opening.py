"""Chooses the log that the settings name: Kafka when brokers are given, else the embedded journal."""

import functools
from pathlib import Path
from typing import Final

from eventlog.adapters.backlog_journal import JournalBacklog
from eventlog.adapters.consumer_journal import JournalConsumer
from eventlog.adapters.consumer_kafka import KafkaConsumer
from eventlog.adapters.journal_file import DEFAULT_MAX_BYTES
from eventlog.adapters.kafka_credentials import credentials_of
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.adapters.publisher_kafka import MESSAGE_TIMEOUT_S, KafkaPublisher
from eventlog.ports import Consumer, Publisher
from eventlog.publisher_spooled import DEFAULT_WAIT_S, SpooledPublisher
from eventlog.reopening import ReopeningPublisher
from eventlog.telemetry import NoTelemetry, Telemetry
from eventlog.topics import JOURNAL_KEEP
from runtime.settings import CommonSettings

# Longest wait for what is still queued at the end; with a journal behind, nothing that matters is.
_CLOSE_S: Final = 5.0
_CLOSE_SPOOLED_S: Final = 1.0


def open_publisher(
    settings: CommonSettings,
    *,
    topics: tuple[str, ...],
    telemetry: Telemetry | None = None,
    publish_timeout_s: float = 5.0,
    journal_max_bytes: int = DEFAULT_MAX_BYTES,
    spool: Path | None = None,
    kafka_wait_s: float = DEFAULT_WAIT_S,
) -> Publisher:
    """Makes the publisher of a process; `start` it before use and `close` it at the end.

    Args:
        settings: Of the process.
        topics: What it publishes to; while a broker lacks one, Kafka counts as not ready.
        telemetry: Told of what happens to it.
        publish_timeout_s: Longest wait for an acknowledgement, in seconds.
        journal_max_bytes: Size from which the journal refuses, in bytes.
        spool: Folder of the journal that takes what Kafka does not confirm; None: Kafka alone.
        kafka_wait_s: How long Kafka may take to confirm before that journal takes over, in seconds.
    """
    telemetry = telemetry or NoTelemetry()
    if not settings.kafka_bootstrap_servers:
        return JournalPublisher(
            journal_path(settings),
            max_bytes=journal_max_bytes,
            keep=JOURNAL_KEEP,
            publish_timeout_s=publish_timeout_s,
            telemetry=telemetry,
        )
    if spool is None:
        return _kafka(settings, topics, telemetry, publish_timeout_s)
    journal = functools.partial(
        JournalPublisher, spool, max_bytes=journal_max_bytes, telemetry=telemetry, measures=False
    )
    return SpooledPublisher(
        _kafka(settings, topics, telemetry, publish_timeout_s, is_spooled=True),
        ReopeningPublisher(journal),
        JournalBacklog(spool, topics, telemetry=telemetry),
        telemetry=telemetry,
        wait_s=kafka_wait_s,
        publish_timeout_s=publish_timeout_s,
    )


def _kafka(
    settings: CommonSettings,
    topics: tuple[str, ...],
    telemetry: Telemetry,
    publish_timeout_s: float,
    *,
    is_spooled: bool = False,
) -> KafkaPublisher:
    return KafkaPublisher(
        settings.kafka_config(),
        topics=topics,
        telemetry=telemetry,
        credentials=credentials_of(settings),
        message_timeout_s=0 if is_spooled else MESSAGE_TIMEOUT_S,
        publish_timeout_s=publish_timeout_s,
        close_timeout_s=_CLOSE_SPOOLED_S if is_spooled else _CLOSE_S,
    )


def open_consumer(
    settings: CommonSettings,
    topic: str,
    group: str,
    *,
    instance_id: str = "",
    telemetry: Telemetry | None = None,
) -> Consumer:
    """Makes a reader of one topic; `start` it before use and `close` it at the end.

    Args:
        settings: Of the process.
        topic: What it reads.
        group: Name of the readers that share the topic's partitions.
        instance_id: Name of this one among them, the same after a restart; empty: it has none.
        telemetry: Told of what happens to it.
    """
    if not settings.kafka_bootstrap_servers:
        return JournalConsumer(journal_path(settings), topic, group, telemetry=telemetry)
    return KafkaConsumer(
        settings.kafka_config(),
        topic,
        group,
        instance_id=instance_id,
        credentials=credentials_of(settings),
        telemetry=telemetry,
    )


def journal_path(settings: CommonSettings) -> Path:
    """Returns where the embedded journal lies."""
    return settings.data_dir / "eventlog"
