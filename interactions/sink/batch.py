"""What was polled at once: the items in it, and the records that are of no use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from eventlog.ports import Partition, StoredRecord
from interactions.domain.log_record import UnreadableError
from interactions.sink.dead_letter import Dead
from interactions.sink.ports import Fault
from interactions.sink.turns import in_turns

ItemT = TypeVar("ItemT")

_DAMAGED: Final = "its bytes are not those that were written: the checksum differs"

# Returns what is in an intact record; raises UnreadableError.
Read: TypeAlias = Callable[[StoredRecord], ItemT]


class Readable(NamedTuple, Generic[ItemT]):
    """A record with what is in it."""

    record: StoredRecord
    item: ItemT


@dataclass(frozen=True, slots=True)
class Batch(Generic[ItemT]):
    """Some records.

    Args:
        readable: Those that hold an item, in the order of the log.
        dead: The others.
        offsets: The next offset of each partition.
        oldest_ms: When the log took the oldest of them, in Unix milliseconds.
    """

    readable: Sequence[Readable[ItemT]]
    dead: Sequence[Dead]
    offsets: dict[Partition, int]
    oldest_ms: int


async def read_all(records: Sequence[StoredRecord], read: Read[ItemT]) -> Batch[ItemT]:
    """Reads some records, at least one; others have their turn in between."""
    readable: list[Readable[ItemT]] = []
    dead: list[Dead] = []
    async for some in in_turns(records):
        for record in some:
            if not record.intact:
                dead.append(Dead(record, Fault.DAMAGED, _DAMAGED))
                continue
            try:
                readable.append(Readable(record, read(record)))
            except UnreadableError as error:
                dead.append(Dead(record, Fault.UNREADABLE, str(error)))
    ends = {(record.topic, record.partition): record.offset + 1 for record in records}
    offsets = {Partition(*place): offset for place, offset in ends.items()}
    return Batch(readable, dead, offsets, min(record.append_time_ms for record in records))
