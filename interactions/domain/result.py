"""What became of each event that was sent."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from interactions.domain.event import BrokenRule, InteractionType


class Status(enum.StrEnum):
    """What became of an event; the names of the contract, and FAILED for one that must be sent again."""

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    REJECTED = "REJECTED"
    FAILED = "FAILED"


class EventResult(msgspec.Struct, frozen=True, gc=False):
    """The result of one event; a Struct, because one is made for each event and a dataclass takes six times as long.

    Args:
        event_id: The client's, or the one made here.
        status: What became of it.
        interaction_type: What it was; None when that is not known.
        broken: Why it was rejected.
    """

    event_id: str
    status: Status
    interaction_type: InteractionType | None
    broken: tuple[BrokenRule, ...] = ()


# The rejected events that an answer to a stream tells.
MAX_TOLD_REJECTED = 100


@dataclass(slots=True)
class StreamTotals:
    """What became of the events of a stream so far."""

    accepted: int = 0
    duplicates: int = 0
    rejected_count: int = 0
    rejected: list[EventResult] = field(default_factory=list)

    def add(self, results: Sequence[EventResult]) -> None:
        """Counts some more results; a duplicate is durable too, and counts as accepted as well."""
        for result in results:
            if result.status is Status.REJECTED:
                self.rejected_count += 1
                if len(self.rejected) < MAX_TOLD_REJECTED:
                    self.rejected.append(result)
            else:
                self.accepted += 1
                self.duplicates += result.status is Status.DUPLICATE
