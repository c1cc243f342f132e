"""What the log tells about its own work."""

from dataclasses import dataclass
from typing import Protocol

from eventlog.domain.router import Switched


@dataclass(frozen=True, slots=True)
class JournalMeasured:
    """The journal as it is now.

    Args:
        bytes_used: What it takes on disk, in bytes.
        waiting: Records that Kafka has not confirmed yet; None: nobody relays them, this journal is the log itself.
        oldest_age_s: How long the oldest of these has been waiting, in seconds; 0 when none is.
    """

    bytes_used: int
    waiting: int | None = None
    oldest_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something in the journal is not what was written; it was put aside.

    Args:
        size_bytes: How much, in bytes.
        records: How many records, as far as that can be told.
    """

    size_bytes: int
    records: int


class Telemetry(Protocol):
    """Takes the records, from any thread; must not raise."""

    def authentication_failed(self) -> None:
        """Takes one refusal of our credentials by a broker."""

    def producer_rebuilt(self) -> None:
        """Takes the end of a producer that librdkafka declared dead."""

    def kafka_ready(self, ready: bool) -> None:
        """Takes whether Kafka can be used, each time that changes."""

    def switched(self, record: Switched) -> None:
        """Takes a change of the way that new records go."""

    def relayed(self, records: int) -> None:
        """Takes how many records went from the journal to Kafka."""

    def journal_measured(self, record: JournalMeasured) -> None:
        """Takes the state of the journal, about once a second."""

    def journal_failed(self) -> None:
        """Takes one failure to write or read the journal."""

    def quarantined(self, record: Quarantined) -> None:
        """Takes what was put aside."""

    def rebalanced(self) -> None:
        """Takes that partitions came to a reader, or went to another."""


class NoTelemetry:
    """Listens to nothing."""

    def authentication_failed(self) -> None:
        """Does nothing."""

    def producer_rebuilt(self) -> None:
        """Does nothing."""

    def kafka_ready(self, ready: bool) -> None:
        """Does nothing."""

    def switched(self, record: Switched) -> None:
        """Does nothing."""

    def relayed(self, records: int) -> None:
        """Does nothing."""

    def journal_measured(self, record: JournalMeasured) -> None:
        """Does nothing."""

    def journal_failed(self) -> None:
        """Does nothing."""

    def quarantined(self, record: Quarantined) -> None:
        """Does nothing."""

    def rebalanced(self) -> None:
        """Does nothing."""
