"""Watches a topic go by without being one of its readers: nothing is committed, and nothing is kept for it."""

from typing import Protocol

from eventlog.adapters.kafka_credentials import credentials_of
from eventlog.adapters.tail_journal import JournalTail
from eventlog.adapters.tail_kafka import KafkaTail
from eventlog.opening import journal_path
from eventlog.ports import StoredRecord
from runtime.settings import CommonSettings


class Tail(Protocol):
    """Shows the records of one topic, each partition in order."""

    def start(self, *, from_oldest: bool) -> None:
        """Begins at the oldest record, or with what comes from now on.

        Raises:
            ConsumeError: When the log cannot be read.
        """

    def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records as soon as there are any, or none after the timeout; raises as `start`."""

    def close(self) -> None:
        """Closes at once."""


def open_tail(settings: CommonSettings, topic: str) -> Tail:
    """Makes a tail of the log that the settings name; `start` it before use and `close` it at the end."""
    if not settings.kafka_bootstrap_servers:
        return JournalTail(journal_path(settings), topic)
    return KafkaTail(settings.kafka_config(), topic, credentials=credentials_of(settings))
