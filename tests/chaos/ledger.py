"""The ledger of a fault test: what was acknowledged, against what the topic and the database hold.

After Jepsen's checks for Kafka: unique values, lost, doubled, out of order. It knows the contract's JSON and nothing of
the code under test, so that the two cannot be wrong in the same way.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from tests.chaos.events import Event
from tests.chaos.figures import Figure

# Of each kind of wrong, as many are named.
TOLD: Final = 3
# What a kind of interaction makes its video trend by; a view only once it lasted.
WEIGHTS: Final = {"VIEW": 0.1, "CLICK": 0.3, "LIKE": 0.7, "COMMENT": 0.7, "FOLLOW": 0.7, "SHARE": 1.0}


class Copy(NamedTuple):
    """A record of the topic; those of one partition come in order.

    Args:
        partition: Where it is.
        offset: Its place there.
        key: Its key.
        value: Its JSON.
        time_ms: When the log took it, in Unix milliseconds.
    """

    partition: int
    offset: int
    key: bytes
    value: bytes
    time_ms: int = 0


class Row(NamedTuple):
    """A row of `user_interactions`: the event by its JSON names, and when the log took it, in Unix milliseconds."""

    event: Event
    ingest_ms: int = 0


class Entry(NamedTuple):
    """What is known of one event that was sent.

    Args:
        event: As it was sent, canonical JSON.
        user_id: Whose it is.
        sender: Who sent it.
        sent_s: When it was first sent, in monotonic seconds.
        acknowledged_s: When it was first acknowledged; infinite: never.
        answer: With what, such as `KAFKA`; empty: not at all.
    """

    event: bytes
    user_id: str
    sender: str
    sent_s: float
    acknowledged_s: float = float("inf")
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the ledger found, by event id; all but the counts should be empty.

    Args:
        sent: How many events were sent.
        acknowledged: How many of them were acknowledged.
        copies: How many records repeat one before them, which readers drop.
        sequential: How many acknowledged events were sent after another of their user had been acknowledged.
        lost_in_topic: Acknowledged and not in the topic; empty as well when no topic was looked at.
        lost_in_database: Acknowledged and not in the database.
        doubled: More than once in the database.
        altered: With another field than was sent: where, and what is there.
        reordered: Behind one of their user that was only sent once they had been acknowledged.
        strangers: In topic or database, and never sent.
    """

    sent: int
    acknowledged: int
    copies: int
    sequential: int
    lost_in_topic: Sequence[str]
    lost_in_database: Sequence[str]
    doubled: Sequence[str]
    altered: Sequence[str]
    reordered: Sequence[str]
    strangers: Sequence[str]

    @property
    def lost(self) -> int:
        """How many acknowledged events are not in the topic, or not in the database."""
        return len({*self.lost_in_topic, *self.lost_in_database})

    @property
    def right(self) -> bool:
        """Whether every promise was kept."""
        return not self.wrong

    @property
    def wrong(self) -> dict[str, Sequence[str]]:
        """What should be empty and is not, with its first few."""
        named = {
            "lost in topic": self.lost_in_topic,
            "lost in database": self.lost_in_database,
            "doubled": self.doubled,
            "altered": self.altered,
            "reordered": self.reordered,
            "never sent": self.strangers,
        }
        return {f"{name} ({len(found)})": found[:TOLD] for name, found in named.items() if found}

    def figures(self) -> dict[str, Figure]:
        """Returns what every run reports."""
        return {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "doubled": len(self.doubled),
            "altered": len(self.altered),
            "reordered": len(self.reordered),
            "never_sent": len(self.strangers),
            "copies_in_topic": self.copies,
            "in_sequence": self.sequential,
        }


class Ledger:
    """Remembers what was sent and acknowledged, and judges where it ended up."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def acknowledged(self) -> set[str]:
        """The ids of the acknowledged events."""
        return {event_id for event_id, entry in self._entries.items() if entry.answer}

    def sent(self, event: Event, sent_s: float, sender: str = "") -> None:
        """Enters an event that was sent; the first time counts."""
        event_id = event["eventId"]
        if event_id not in self._entries:
            self._entries[event_id] = Entry(canonical(event), event["userId"], sender, sent_s)

    def acknowledged_at(self, event_id: str, acknowledged_s: float, answer: str) -> None:
        """Enters that an event was acknowledged; the first time counts."""
        entry = self._entries[event_id]
        if not entry.answer:
            self._entries[event_id] = entry._replace(acknowledged_s=acknowledged_s, answer=answer)

    def judge(self, copies: Iterable[Copy] | None, rows: Iterable[Row]) -> Findings:
        """Compares.

        Args:
            copies: The topic; None: only the database is looked at.
            rows: The database.
        """
        altered: list[str] = []
        strangers: list[str] = []
        first, repeated = self._first_copies(copies or (), altered, strangers)
        stored = self._stored(rows, altered, strangers)
        acknowledged = self.acknowledged
        reordered, sequential = self._order(first)
        return Findings(
            sent=len(self._entries),
            acknowledged=len(acknowledged),
            copies=repeated,
            sequential=sequential,
            lost_in_topic=() if copies is None else sorted(acknowledged - first.keys()),
            lost_in_database=sorted(acknowledged - stored.keys()),
            doubled=[event_id for event_id, count in stored.items() if count > 1],
            altered=altered,
            reordered=reordered,
            strangers=strangers,
        )

    def _first_copies(
        self, copies: Iterable[Copy], altered: list[str], strangers: list[str]
    ) -> tuple[dict[str, Copy], int]:
        """Returns the first copy of each event, in the order of the topic, and how many others there are."""
        first: dict[str, Copy] = {}
        repeated = 0
        for copy in copies:
            event = _decoded(copy.value)
            event_id = str(event.get("eventId", ""))
            entry = self._entries.get(event_id)
            if entry is None:
                strangers.append(f"topic: {copy}")
                continue
            if entry.event != canonical(event) or copy.key != entry.user_id.encode():
                altered.append(f"topic: {copy}, sent: {entry.event.decode()}")
            repeated += event_id in first
            first.setdefault(event_id, copy)
        return first, repeated

    def _stored(self, rows: Iterable[Row], altered: list[str], strangers: list[str]) -> Counter[str]:
        """Counts the rows of each event."""
        stored: Counter[str] = Counter()
        for row in rows:
            event_id = row.event["eventId"]
            entry = self._entries.get(event_id)
            if entry is None:
                strangers.append(f"database: {row.event}")
                continue
            if entry.event != canonical(row.event):
                altered.append(f"database: {row.event}, sent: {entry.event.decode()}")
            stored[event_id] += 1
        return stored

    def _order(self, first: dict[str, Copy]) -> tuple[list[str], int]:
        """Returns the events that are behind one that was sent only after their acknowledgement.

        Also those of a user whose events are in several partitions, which have no order. And how many acknowledged
        events had to be behind another: without any, order would hold for nothing.
        """
        latest_sent_s: dict[str, float] = {}
        earliest_ack_s: dict[str, float] = {}
        partitions: dict[str, int] = {}
        reordered, sequential = [], 0
        for event_id, copy in first.items():
            entry = self._entries[event_id]
            user = entry.user_id
            if partitions.setdefault(user, copy.partition) != copy.partition:
                reordered.append(f"{event_id} of {user} is in {copy.partition} and not in {partitions[user]}")
            elif latest_sent_s.get(user, float("-inf")) > entry.acknowledged_s:
                reordered.append(f"{event_id} of {user} at {copy.partition}/{copy.offset}")
            sequential += bool(entry.answer) and earliest_ack_s.get(user, float("inf")) < entry.sent_s
            latest_sent_s[user] = max(latest_sent_s.get(user, float("-inf")), entry.sent_s)
            earliest_ack_s[user] = min(earliest_ack_s.get(user, float("inf")), entry.acknowledged_s)
        return reordered, sequential


def trend(rows: Iterable[Row]) -> float:
    """Returns the weight that these rows add up to: a view once a session, of videos whose length nobody knows."""
    total = 0.0
    viewed: set[tuple[str, str, str]] = set()
    for row in rows:
        event = row.event
        weight = WEIGHTS.get(event["interactionType"], 0.0)
        if event["interactionType"] == "VIEW":
            session = event.get("feedSessionId", "")
            key = (event["userId"], event["videoId"], session)
            weight *= event["watchTime"] > 0 and not (session and key in viewed)
            viewed.add(key)
        total += weight
    return total


def canonical(event: Event) -> bytes:
    """Returns an event as bytes that are the same for the same event."""
    return msgspec.json.encode(event, order="deterministic")


def in_order(copies: Iterable[Copy]) -> list[Copy]:
    """Returns records as they lie in their partitions."""
    return sorted(copies, key=attrgetter("partition", "offset"))


def _decoded(value: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return {}
    return event if isinstance(event, dict) else {}
