"""What was polled at once: the events in it, and the records that are of no use; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from eventlog.ports import Partition, StoredRecord
from interactions.domain import log_record
from interactions.domain.log_record import UnreadableError
from interactions.sink.dead_letter import Dead
from interactions.sink.ports import Fault, StoredEvent


class Readable(NamedTuple):
    """A record with the event that is in it."""

    record: StoredRecord
    stored: StoredEvent


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records.

    Args:
        readable: Those that are events, in the order of the log.
        dead: The others.
        offsets: The next offset of each partition.
        oldest_ms: When the log took the oldest of them, in Unix milliseconds.
    """

    readable: Sequence[Readable]
    dead: Sequence[Dead]
    offsets: dict[Partition, int]
    oldest_ms: int


def read(records: Sequence[StoredRecord]) -> Batch:
    """Reads some records, at least one."""
    readable: list[Readable] = []
    dead: list[Dead] = []
    for record in records:
        try:
            readable.append(Readable(record, _stored(record)))
        except UnreadableError as error:
            dead.append(Dead(record, Fault.UNREADABLE if record.intact else Fault.DAMAGED, str(error)))
    ends = {(record.topic, record.partition): record.offset + 1 for record in records}
    offsets = {Partition(*place): offset for place, offset in ends.items()}
    return Batch(readable, dead, offsets, min(record.append_time_ms for record in records))


def _stored(record: StoredRecord) -> StoredEvent:
    if not record.intact:
        raise UnreadableError("its bytes are not those that were written: the checksum differs")
    event, event_time = log_record.read(record.value)
    taken = datetime.fromtimestamp(record.append_time_ms / 1000, UTC)
    return StoredEvent(event.event_id.lower(), event, event_time, taken)
