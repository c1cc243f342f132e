"""Chooses the log that the settings name: Kafka when brokers are given, else the embedded journal."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from eventlog.adapters.consumer_journal import JournalConsumer
from eventlog.adapters.consumer_kafka import KafkaConsumer
from eventlog.adapters.journal_sqlite import DEFAULT_MAX_BYTES
from eventlog.adapters.publisher_journal import JournalPublisher
from eventlog.adapters.publisher_kafka import KafkaPublisher
from eventlog.ports import Consumer, Publisher
from eventlog.topics import DECLARED
from runtime.settings import CommonSettings

_KEEP: Final = {spec.name: spec.journal_keep for spec in DECLARED if spec.journal_keep is not None}


def _nothing() -> None:
    """Stands for a hook that nobody gave."""


def open_publisher(
    settings: CommonSettings,
    *,
    topics: tuple[str, ...],
    publish_timeout_s: float = 5.0,
    journal_max_bytes: int = DEFAULT_MAX_BYTES,
    on_authentication_failure: Callable[[], None] = _nothing,
) -> Publisher:
    """Makes the publisher of a process; `start` it before use and `close` it at the end.

    Args:
        settings: Of the process.
        topics: What it publishes to; not ready while a broker lacks one.
        publish_timeout_s: Longest wait for an acknowledgement, in seconds.
        journal_max_bytes: Size from which the journal refuses, in bytes.
        on_authentication_failure: Called, from another thread, each time a broker refuses the credentials.
    """
    if not settings.kafka_bootstrap_servers:
        path = journal_path(settings)
        return JournalPublisher(path, max_bytes=journal_max_bytes, keep=_KEEP, publish_timeout_s=publish_timeout_s)
    return KafkaPublisher(
        settings.kafka_config(),
        topics=topics,
        publish_timeout_s=publish_timeout_s,
        on_authentication_failure=on_authentication_failure,
    )


def open_consumer(
    settings: CommonSettings, topic: str, group: str, *, on_authentication_failure: Callable[[], None] = _nothing
) -> Consumer:
    """Makes a reader of one topic; `start` it before use and `close` it at the end.

    Args:
        settings: Of the process.
        topic: What it reads.
        group: Its name.
        on_authentication_failure: Called, from another thread, each time a broker refuses the credentials.
    """
    if not settings.kafka_bootstrap_servers:
        return JournalConsumer(journal_path(settings), topic, group)
    return KafkaConsumer(settings.kafka_config(), topic, group, on_authentication_failure=on_authentication_failure)


def journal_path(settings: CommonSettings) -> Path:
    """Returns where the embedded journal lies."""
    return settings.data_dir / "eventlog" / "journal.db"
