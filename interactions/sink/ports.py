"""What the sink needs besides the log: a place to write to, and somebody to tell."""

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from eventlog.ports import Offsets, Partition
from interactions.domain.log_record import LogRecord

ItemT_contra = TypeVar("ItemT_contra", contravariant=True)


class StoreUnavailableError(Exception):
    """The database cannot be written now. Nothing is lost: write the same again."""


class RowsRefusedError(Exception):
    """The database refuses these rows for what they hold; writing them again does not help."""


class StoredEvent(NamedTuple):
    """An event as it is stored.

    Args:
        key: Its event id in lower case: clients write a UUID in upper or lower case.
        event: As it was in the log.
        event_time: When it happened, by the client's clock; UTC.
        ingest_time: When the log took it; UTC.
    """

    key: str
    event: LogRecord
    event_time: datetime
    ingest_time: datetime


class Step(enum.StrEnum):
    """What the sink does, in turn."""

    POLL = "poll"
    DEAD_LETTER = "dead_letter"
    WRITE = "write"
    COMMIT = "commit"


class Fault(enum.StrEnum):
    """Whose fault it is that a record is of no use."""

    UNREADABLE = "unreadable"  # the writer's: no record of this contract
    DAMAGED = "damaged"  # the disk's: not the bytes that were written
    REFUSED = "refused"  # the database's: it does not take what the contract allows


@dataclass(frozen=True, slots=True)
class Written:
    """What became of some items.

    Args:
        inserted: Those that were new.
        dropped: Those of users of whom nothing is stored.
    """

    inserted: int
    dropped: int = 0

    def __add__(self, other: "Written") -> "Written":
        """Returns both together."""
        return Written(self.inserted + other.inserted, self.dropped + other.dropped)


class Store(Protocol[ItemT_contra]):
    """Keeps what the records of one topic hold, and how far the log was read, all in one transaction."""

    async def load_offsets(self, partitions: Collection[Partition]) -> Offsets:
        """Returns where to go on reading in these partitions, as far as any was read.

        Raises:
            StoreUnavailableError: Ask again.
        """

    async def write(self, items: Sequence[ItemT_contra], offsets: Offsets, /) -> Written:
        """Writes the items that are new, but those of users of whom nothing is stored, and the offsets.

        Raises:
            StoreUnavailableError: Nothing was written.
            RowsRefusedError: Nothing was written.
        """


@dataclass(frozen=True, slots=True)
class BatchWritten:
    """Some records were brought into the database.

    Args:
        written: What became of the items that could be stored.
        duplicates: Items that were there already.
        dead_lettered: Records that were put aside, by whose fault that was.
        elapsed_s: From poll to commit, in seconds.
        age_s: How long the oldest record had waited in the log, in seconds.
    """

    written: Written
    duplicates: int
    dead_lettered: Mapping[Fault, int]
    elapsed_s: float
    age_s: float


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the database is behind the log.

    Args:
        records: Records of this sink's partitions that are not written yet; None when unknown.
        seconds: Age of the oldest of them; None when unknown.
    """

    records: int | None
    seconds: float | None


class Telemetry(Protocol):
    """Takes the records; must not raise."""

    def batch_written(self, record: BatchWritten) -> None:
        """Takes one batch."""

    def lag_measured(self, lag: Lag) -> None:
        """Takes one measurement."""

    def step_failed(self, step: Step) -> None:
        """Takes one failed attempt."""
