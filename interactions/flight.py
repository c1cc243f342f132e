"""Events on their way into the log, and how copies of them learn what became of the first."""

import asyncio
from collections.abc import Sequence
from typing import Final

from eventlog.ports import Durability, Outcome, Record
from interactions.domain.recent_ids import RecentIds

# Events of others that one stream has sent copies of, which it may send again; there may be a thousand streams.
_MAX_COPIED: Final = 2_000


class Sender:
    """One call or one stream. Only what it repeats itself is told as a duplicate."""

    __slots__ = ("_copied",)

    def __init__(self) -> None:
        self._copied: RecentIds[bool] | None = None

    def repeats(self, event_id: str, flight: "Flight", now_s: float) -> bool:
        """Says whether it has sent an event before, and remembers that it has now.

        Args:
            event_id: Of an event that is on a flight already.
            flight: That flight.
            now_s: Monotonic time, in seconds.
        """
        if flight.sender is self:
            return True
        if self._copied is None:
            self._copied = RecentIds(_MAX_COPIED)
        if self._copied.get(event_id):
            return True
        self._copied.put(event_id, True, now_s)
        return False


class Flight:
    """The events that one call was the first to bring.

    Each id that came a moment ago leads to its flight, so a call that brings a copy waits for the same landing and
    gives the same answer.

    Args:
        sender: Who brought them.
    """

    # As small as can be: a hundred thousand of them are remembered.
    __slots__ = ("_landing", "_outcomes", "durability", "event_ids", "records", "sender")

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.event_ids: list[str] = []
        self.records: list[Record] = []
        # Where all its events are, after the landing; None when not all are in one place.
        self.durability: Durability | None = None
        self._outcomes: dict[str, Outcome] | None = None
        # Made for the first who waits; most flights nobody else waits for.
        self._landing: asyncio.Future[None] | None = None

    def board(self, event_id: str, record: Record) -> None:
        """Takes an event along."""
        self.event_ids.append(event_id)
        self.records.append(record)

    def land(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Keeps what became of the events and lets go of them; returns the ids of those that are not in the log."""
        first, event_ids, landing = outcomes[0], self.event_ids, self._landing
        self._landing = None
        del self.event_ids, self.records
        if isinstance(first, Durability) and outcomes.count(first) == len(outcomes):
            self.durability = first
        else:
            self._outcomes = dict(zip(event_ids, outcomes, strict=True))
        if landing is not None:
            landing.set_result(None)
        return [each for each, outcome in (self._outcomes or {}).items() if not isinstance(outcome, Durability)]

    async def landed(self) -> None:
        """Waits for the landing."""
        if self.durability is None and self._outcomes is None:
            if self._landing is None:
                self._landing = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._landing)  # one who gives up the wait must not end it for others

    def outcome(self, event_id: str) -> Outcome:
        """Returns what became of an event, after the landing."""
        return self.durability or (self._outcomes or {})[event_id]
