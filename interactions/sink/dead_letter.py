"""What is kept of a record that cannot be used; pure."""

from typing import Final

from eventlog.ports import MAX_RECORD_BYTES, Headers, Record, StoredRecord, size_of
from eventlog.topics import INTERACTIONS_DLQ

_REASON_CHARS: Final = 512


def dead_letter(record: StoredRecord, reason: str) -> Record:
    """Returns the record as it was found, with why it is dead and where it was in its headers."""
    letter = Record(INTERACTIONS_DLQ, record.key, record.value, (*record.headers, *_told(record, reason)))
    return letter if size_of(letter) <= MAX_RECORD_BYTES else bare_letter(record, reason)


def bare_letter(record: StoredRecord, reason: str) -> Record:
    """Returns a letter without the record itself, for one that is too large to be kept twice."""
    size = str(len(record.value)).encode()
    return Record(INTERACTIONS_DLQ, "", b"", (*_told(record, reason), ("left-out-bytes", size)))


def _told(record: StoredRecord, reason: str) -> Headers:
    return (
        ("reason", reason[:_REASON_CHARS].encode(errors="backslashreplace")),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
    )
