"""What the ingest service tells about its work: one frozen record a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eventlog.ports import Durability
from interactions.domain.result import EventResult


@dataclass(frozen=True, slots=True)
class EventsRecorded:
    """Some events were taken in, or failed to be.

    Args:
        results: What became of each.
        durability: Where the accepted ones are; None when none was accepted.
        elapsed_s: From arrival until durable, in seconds.
        withheld: How many were accepted and dropped: their users do not want to be known.
    """

    results: Sequence[EventResult]
    durability: Durability | None
    elapsed_s: float
    withheld: int = 0


class Telemetry(Protocol):
    """Takes the records; must not raise."""

    def events_recorded(self, record: EventsRecorded) -> None:
        """Takes one call."""


class Listeners:
    """Tells each.

    Args:
        listeners: Who is told, in order.
    """

    def __init__(self, *listeners: Telemetry) -> None:
        self._listeners = listeners

    def events_recorded(self, record: EventsRecorded) -> None:
        """Takes one call."""
        for each in self._listeners:
            each.events_recorded(record)
