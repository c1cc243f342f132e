"""Reads a whole topic of the log that the settings name, once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eventlog.adapters.history_kafka import read_topic
from eventlog.adapters.journal_file import JournalFile
from eventlog.adapters.kafka_credentials import credentials_of
from eventlog.opening import journal_path
from eventlog.ports import ConsumeError, StoredRecord
from runtime.settings import CommonSettings

_BATCH: Final = 500


def history(settings: CommonSettings, topic: str, group: str) -> Iterator[StoredRecord]:
    """Yields what is in a topic now, the records of a partition in order; leaves no trace in the log.

    Args:
        settings: Of the process.
        topic: Name of the topic.
        group: Under which Kafka lets us read; nothing is kept under it.

    Raises:
        ConsumeError: When the log cannot be read.
    """
    if settings.kafka_bootstrap_servers:
        config = {**settings.kafka_config(), **credentials_of(settings).config()}
        yield from read_topic(config, topic, group)
    else:
        yield from _read_journal(journal_path(settings), topic)


def _read_journal(path: Path, topic: str) -> Iterator[StoredRecord]:
    try:
        journal = JournalFile(path)
        try:
            end, offset = journal.next_offset(topic) or 0, 0
            while offset < end and (found := journal.read(topic, offset, _BATCH)):
                yield from found
                offset = found[-1].offset + 1
        finally:
            journal.close()
    except OSError as error:
        raise ConsumeError(f"the journal cannot be read: {error}") from error
