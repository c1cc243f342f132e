"""What the sink needs besides the log: a place to write to, and somebody to tell."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from eventlog.ports import Offsets
from interactions.domain.event import InteractionEvent


class StoreUnavailableError(Exception):
    """The database cannot be written now. Nothing is lost: write the same again."""


class RowsRefusedError(Exception):
    """The database refuses these rows for what they hold; writing them again does not help."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with the time at which the log took it (wall time, aware)."""

    event: InteractionEvent
    ingest_time: datetime


class Step(enum.StrEnum):
    """What the sink does, in turn."""

    START = "start"
    POLL = "poll"
    DEAD_LETTER = "dead_letter"
    WRITE = "write"
    COMMIT = "commit"


class InteractionStore(Protocol):
    """Keeps events, what they make trend, and how far the log was read, all in one transaction."""

    async def load_offsets(self) -> Offsets:
        """Returns where to begin reading."""

    async def write(self, events: Sequence[StoredEvent], offsets: Offsets) -> int:
        """Writes the events that are new, and the offsets; returns how many were new.

        Raises:
            StoreUnavailableError: Nothing was written.
            RowsRefusedError: Nothing was written.
        """


@dataclass(frozen=True, slots=True)
class BatchWritten:
    """Some records were brought into the database.

    Args:
        inserted: Events that were new.
        duplicates: Events that were there already.
        dead_lettered: Records that could not be read or stored.
        elapsed_s: From poll to commit, in seconds.
        age_s: How long the oldest record had waited in the log, in seconds.
    """

    inserted: int
    duplicates: int
    dead_lettered: int
    elapsed_s: float
    age_s: float


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the database is behind the log.

    Args:
        records: Records not written yet; None when unknown.
        seconds: Age of the oldest record in hand that is not written yet.
    """

    records: int | None
    seconds: float


class Telemetry(Protocol):
    """Takes the records; must not raise."""

    def batch_written(self, record: BatchWritten) -> None:
        """Takes one batch."""

    def lag_measured(self, lag: Lag) -> None:
        """Takes one measurement."""

    def step_failed(self, step: Step) -> None:
        """Takes one failed attempt."""

    def authentication_failed(self) -> None:
        """Takes one refusal of our credentials by a broker; called from another thread."""
