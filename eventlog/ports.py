"""What the rest of the feed knows of the log: records go in durably, and come out in order."""

import enum
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

# Key and value of one record together. Below librdkafka's message.max.bytes (65,536), which also has to hold
# the headers and the framing.
MAX_RECORD_BYTES = 61_440

Headers: TypeAlias = tuple[tuple[str, bytes], ...]


class EventLogError(Exception):
    """The log could not do what was asked. Base of all errors of this package."""


class PublishError(EventLogError):
    """A record was not acknowledged. Base of the three ways this happens."""


class NotAcknowledgedError(PublishError):
    """The log's or the network's fault: no confirmation in time, so the record may or may not be there.

    Publish it again under the same event id; whoever reads drops the second copy.
    """


class LogFullError(PublishError):
    """Too much at once, or a reader that is down: the record was refused before anything was kept.

    Args:
        message: What is full.
        retry_after_s: When it is worth trying again, in seconds.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RecordTooLargeError(PublishError):
    """The caller's fault: key and value exceed MAX_RECORD_BYTES. Nothing was kept; trying again does not help."""


class ConsumeError(EventLogError):
    """The log cannot be read now. Nothing is lost: poll again later."""


class Durability(enum.StrEnum):
    """Where an acknowledged record is."""

    KAFKA = "KAFKA"
    JOURNAL = "JOURNAL"


class Record(NamedTuple):
    """A record to publish; a tuple, since a frozen dataclass takes four times as long to make.

    Args:
        topic: Name of the topic.
        key: Records of one key stay in order. Empty: no key.
        value: The bytes.
        headers: Names and values, in order.
        append_time_ms: Wall time when another log took it, in Unix milliseconds; 0: now.
    """

    topic: str
    key: str
    value: bytes
    headers: Headers = ()
    append_time_ms: int = 0


class StoredRecord(NamedTuple):
    """A record as it was found in the log; a tuple for the reason that Record is one.

    Args:
        topic: Name of the topic.
        partition: Number of the partition, from 0.
        offset: Place in the partition; grows, with gaps.
        key: The key; bytes that are no UTF-8 survive as surrogate escapes.
        value: The bytes; empty when there are none.
        headers: Names and values, in order.
        append_time_ms: Wall time when the log took it, in Unix milliseconds.
        intact: False when the bytes are not those that were written.
    """

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Headers = ()
    append_time_ms: int = 0
    intact: bool = True


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


# The next offset to read, by partition.
Offsets: TypeAlias = Mapping[Partition, int]

# Says where to begin in partitions that were just assigned; one it does not name begins at its oldest record.
FindOffsets: TypeAlias = Callable[[Collection[Partition]], Awaitable[Offsets]]

Outcome: TypeAlias = Durability | PublishError


class Publisher(Protocol):
    """Puts records into the log."""

    async def start(self) -> None:
        """Opens the log; does not wait for a remote one to answer."""

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        """Publishes, and says for each record where it is durable or why it is not; never raises for a record."""

    def not_ready(self) -> str | None:
        """Says why a record published now would not become durable; None when it would."""

    async def close(self) -> None:
        """Waits, within a bound, for what was published, then closes."""


class Consumer(Protocol):
    """Reads one topic of the log, each partition in order; readers of one group share the partitions."""

    async def start(self, find_offsets: FindOffsets) -> None:
        """Begins to read.

        Args:
            find_offsets: Asked by `poll` each time partitions come to this reader, since another one may have gone on
                in them meanwhile. An offset that is no longer there means the oldest record.
        """

    async def poll(self, max_records: int, timeout_s: float) -> list[StoredRecord]:
        """Returns the next records as soon as there are any, or none after the timeout.

        Only here do partitions come and go. What was returned before is still the reader's to finish: whoever has its
        partition then reads some of it again.

        Raises:
            ConsumeError: When the log cannot be read now. What `find_offsets` raises comes through as it is.
        """

    async def commit(self, offsets: Offsets) -> None:
        """Tells the log how far this reader got, for lag and for pruning; where to begin is for `start` to say."""

    async def lag(self) -> int | None:
        """Returns how many records of its partitions lie behind what was committed; None when unknown."""

    def not_ready(self) -> str | None:
        """Says why nothing can be read now; None when reading works."""

    async def close(self) -> None:
        """Closes at once; what was not committed is read again."""


def size_of(record: Record) -> int:
    """Returns the bytes of key and value, which MAX_RECORD_BYTES bounds."""
    return len(record.key.encode(errors="surrogateescape")) + len(record.value)
