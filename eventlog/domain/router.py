"""Which way a new record goes, to Kafka or into the journal, so that the order of each key is kept; pure.

The rule behind all of it: nothing is given to Kafka before everything that was taken in earlier is confirmed there, or
is ahead of it in the same producer. So whichever copy of a record comes first, it comes after its predecessors.
"""

import enum
from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

# After Kafka was left it must look well for so long; else a broker that stutters would have everything copied.
REST_S: Final = 1.0
# How long a slow confirmation counts. Without new records there is no other, and perhaps Kafka is well by now.
SLOW_S: Final = 5.0
# After a failed write, how long until the journal is thought of again.
JOURNAL_RETRY_S: Final = 1.0
# What is behind many others in the producer's queue is not late for that: so much a record, twice what one costs a busy
# machine. At 2,000 records a second it does not count; with 1,600 under way it trebles the wait.
BEHIND_S: Final = 0.000_05
# So few records left in the journal are in Kafka within the time that new ones can be held back.
NEARLY_DRAINED: Final = 1_000


class Way(enum.StrEnum):
    """Where new records go: to Kafka, into the journal, or nowhere for some milliseconds, between the two."""

    KAFKA = "kafka"
    HOLD = "hold"
    JOURNAL = "journal"


class Reason(enum.StrEnum):
    """Why the way changed."""

    START = "start"
    SLOW = "slow"
    REFUSED = "refused"
    NOT_READY = "not_ready"
    NEARLY_DRAINED = "nearly_drained"
    DRAINED = "drained"
    JOURNAL_BROKEN = "journal_broken"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Switched:
    """The way of new records changed."""

    way: Way
    reason: Reason


class Item(Protocol):
    """Records of one call, whose outcomes come in one by one."""

    @property
    def is_settled(self) -> bool:
        """Whether all outcomes are there."""

    def __len__(self) -> int:
        """Returns the number of records."""


ItemT = TypeVar("ItemT", bound=Item)


class Router(Generic[ItemT]):
    """Keeps what is under way in the order in which it came, and says where it goes.

    Three parties tell it what happened: whoever takes records in, whoever writes the journal, and the relay that brings
    the journal to Kafka. At the start nobody knows Kafka or the journal, so the journal is the way.

    Args:
        wait_s: How long Kafka may take to confirm before the journal takes over, in seconds; 0: the journal takes all.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._sent: deque[tuple[float, ItemT]] = deque()
        self._queue: deque[ItemT] = deque()
        self._writing = 0
        self._writes = 0
        self._owed = True
        self._slow_until_s = float("-inf") if wait_s > 0 else float("inf")
        self._return_at_s = float("-inf")
        self._held_until_s = 0.0
        self._journal_again_s = float("-inf")
        self._sent_records = 0
        self.queued_records = 0
        self.last = Switched(Way.JOURNAL, Reason.START)

    @property
    def way(self) -> Way:
        """Where a new record goes now."""
        return self.last.way

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, neither to Kafka nor into the journal."""
        self._drop_settled()
        return not (self._sent or self._queue or self._writing)

    # What comes in.

    def offer(self, item: ItemT, now_s: float, *, kafka_ready: bool) -> bool:
        """Takes a new item; returns True when it is to be given to Kafka now, False when it waits here."""
        if self.way is Way.KAFKA and not kafka_ready:
            self.leave_kafka(Reason.NOT_READY, now_s)
        if self.way is not Way.KAFKA:
            self._enqueue(item)
            return False
        self._await_kafka(item, now_s)
        return True

    def leave_kafka(self, reason: Reason, now_s: float) -> bool:
        """Turns to the journal, with everything that Kafka has not confirmed; returns whether that is the way now.

        It is not while the journal does not work.
        """
        if self.way is Way.JOURNAL:
            return True
        if self.way is Way.KAFKA and now_s < self._journal_again_s:
            return False
        for _, item in self._sent:
            if not item.is_settled:
                self._enqueue(item)
        self._sent.clear()
        self._sent_records = 0
        self._return_at_s = now_s + REST_S
        self.last = Switched(Way.JOURNAL, reason)
        return True

    def check(self, now_s: float) -> None:
        """Turns to the journal when something has waited for too long."""
        self._drop_settled()
        due_s = self.next_check_s()
        if due_s is not None and due_s <= now_s:
            self.leave_kafka(Reason.SLOW, now_s)

    def next_check_s(self) -> float | None:
        """Returns when `check` is to be called; None while nothing waits."""
        if self.way is Way.HOLD:
            return self._held_until_s
        if self.way is Way.KAFKA and self._sent:
            return max(self._sent[0][0], self._journal_again_s)
        return None

    # What the writer of the journal does.

    def take(self, max_records: int) -> list[ItemT]:
        """Returns the next items for the journal, at least one if there is any; `written` or `not_written` follows."""
        taken: list[ItemT] = []
        count = 0
        while self.way is Way.JOURNAL and self._queue and count < max_records:
            item = self._queue.popleft()
            self.queued_records -= len(item)
            if not item.is_settled:
                taken.append(item)
                count += len(item)
        self._writing = count
        return taken

    def written(self) -> None:
        """Takes note that what was taken is in the journal."""
        self._writing = 0
        self._writes += 1
        self._owed = True
        self._journal_again_s = float("-inf")

    def refused(self) -> None:
        """Takes note that what was taken is not in the journal, because that is full."""
        self._writing = 0

    def not_written(self, items: list[ItemT], now_s: float, *, kafka_ready: bool) -> list[ItemT]:
        """Takes note that the journal does not work; returns what is to be given to Kafka in its stead, in order.

        That is nothing while Kafka is down, or lacks something that the journal holds: the order would change.
        """
        self._writing = 0
        self._writes += 1  # it may be there all the same
        self._journal_again_s = now_s + JOURNAL_RETRY_S
        if self._owed or not kafka_ready:
            return []
        for item in reversed(items):
            self._queue.appendleft(item)
            self.queued_records += len(item)
        return self._turn_to_kafka(Reason.JOURNAL_BROKEN, now_s)

    # What the relay does.

    def mark(self) -> int:
        """Returns what `drained` needs; to be asked for before the journal is read."""
        return self._writes

    def confirmed(self, records: int, left: int, elapsed_s: float, now_s: float) -> None:
        """Takes note that Kafka has confirmed what the relay sent last.

        Args:
            records: How many that were.
            left: Records that the journal still holds, as far as was looked.
            elapsed_s: From sending to the last confirmation.
            now_s: Now.
        """
        if elapsed_s > self._wait_s / 2 + records * BEHIND_S:
            self._slow_until_s = max(self._slow_until_s, now_s + SLOW_S)
            if self.way is Way.HOLD:
                self.leave_kafka(Reason.SLOW, now_s)
            return
        if self._wait_s > 0:
            self._slow_until_s = float("-inf")
        if self.way is Way.JOURNAL and left <= NEARLY_DRAINED and self._may_return(now_s):
            self._held_until_s = now_s + self._wait_s + (left + self._writing) * BEHIND_S
            self.last = Switched(Way.HOLD, Reason.NEARLY_DRAINED)

    def drained(self, mark: int, now_s: float, *, kafka_ready: bool) -> list[ItemT]:
        """Takes note that all the journal held is confirmed; returns what is to be given to Kafka now, in order.

        Also what still waits to be written: with everything before it confirmed, it may as well go to Kafka.

        Args:
            mark: What `mark` returned before the journal was read.
            now_s: Now.
            kafka_ready: Whether Kafka can be used.
        """
        if self._writing or mark != self._writes:
            return []
        self._owed = False
        works = now_s >= self._journal_again_s
        if self.way is Way.KAFKA or not kafka_ready:
            return []
        if self.way is Way.JOURNAL and works and not self._may_return(now_s):
            return []
        return self._turn_to_kafka(Reason.DRAINED, now_s)

    def unreachable(self, now_s: float, *, writable: bool, kafka_ready: bool) -> list[ItemT]:
        """Takes note that the journal cannot be read; returns what is to be given to Kafka now, in order.

        When it cannot be written either, nobody waits for what it holds: Kafka alone goes on.
        """
        if writable:
            return []
        self._owed = False
        if self.way is not Way.JOURNAL or self._writing or not kafka_ready:
            return []
        return self._turn_to_kafka(Reason.JOURNAL_BROKEN, now_s)

    def _turn_to_kafka(self, reason: Reason, now_s: float) -> list[ItemT]:
        items = [item for item in self._queue if not item.is_settled]
        self._queue.clear()
        self.queued_records = 0
        for item in items:
            self._await_kafka(item, now_s)
        self.last = Switched(Way.KAFKA, reason)
        return items

    def _may_return(self, now_s: float) -> bool:
        return now_s >= max(self._return_at_s, self._slow_until_s)

    def _enqueue(self, item: ItemT) -> None:
        self._queue.append(item)
        self.queued_records += len(item)

    def _await_kafka(self, item: ItemT, now_s: float) -> None:
        self._drop_settled()
        self._sent.append((now_s + self._wait_s + self._sent_records * BEHIND_S, item))
        self._sent_records += len(item)

    def _drop_settled(self) -> None:
        while self._sent and self._sent[0][1].is_settled:
            self._sent_records -= len(self._sent.popleft()[1])
