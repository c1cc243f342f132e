"""Events that wait for their answer, in order, and when the next of them are to be sent."""

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from interactions.client.event import Event
from interactions.client.settings import TrackerSettings


class _Entry(NamedTuple):
    event: Event
    number: int
    added_s: float


class Outbox:
    """A bounded queue with one batch under way at a time; not safe for threads by itself.

    Args:
        settings: Its bounds.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._waiting: deque[_Entry] = deque()
        self._under_way: list[_Entry] = []
        self._last_number = 0
        self._hurried_through = 0
        self._most = settings.max_batch_events

    def __len__(self) -> int:
        """Returns how many events have no answer, those under way among them."""
        return len(self._waiting) + len(self._under_way)

    @property
    def is_under_way(self) -> bool:
        """Whether a batch was taken and has no answer yet."""
        return bool(self._under_way)

    def add(self, event: Event, now_s: float) -> bool:
        """Takes an event, or says False when too many wait: the older ones are kept."""
        if len(self) >= self._settings.max_waiting:
            return False
        self._append(event, now_s)
        return True

    def restore(self, events: Iterable[Event], now_s: float) -> None:
        """Takes events of an earlier process, whatever the bound says, and sends them without waiting for company."""
        for event in events:
            self._append(event, now_s)
        self.hurry()

    def hurry(self) -> int:
        """Lets all that are here be sent without waiting for company; returns the number of the last."""
        self._hurried_through = self._last_number
        return self._last_number

    def oldest_number(self) -> float:
        """Returns the number of the oldest event without an answer; infinite when there is none."""
        oldest = (self._under_way or self._waiting or (None,))[0]
        return math.inf if oldest is None else oldest.number

    def due_at_s(self) -> float:
        """Returns when the next batch is to be sent, as a time of the caller's clock; infinite when nothing waits."""
        if not self._waiting:
            return math.inf
        first = self._waiting[0]
        if len(self._waiting) >= self._settings.flush_events or first.number <= self._hurried_through:
            return first.added_s
        return first.added_s + self._settings.flush_interval_s

    def take(self) -> list[Event]:
        """Returns the next batch, which is under way until `settled` or `put_back`."""
        size = 0
        while self._waiting and len(self._under_way) < self._most:
            size += len(self._waiting[0].event.line) + 1
            if self._under_way and size > self._settings.max_batch_bytes:
                break
            self._under_way.append(self._waiting.popleft())
        return [entry.event for entry in self._under_way]

    def settled(self) -> None:
        """Forgets the batch under way: each of its events has its answer."""
        self._under_way = []
        self._most = self._settings.max_batch_events

    def put_back(self, *, halved: bool = False) -> None:
        """Puts the batch under way back to the front; `halved`: the next one is half as large."""
        if halved:
            self._most = max(1, len(self._under_way) // 2)
        self._waiting.extendleft(reversed(self._under_way))
        self._under_way = []

    def clear(self) -> list[Event]:
        """Removes and returns all."""
        left = [entry.event for entry in (*self._under_way, *self._waiting)]
        self._waiting.clear()
        self._under_way = []
        return left

    def _append(self, event: Event, now_s: float) -> None:
        self._last_number += 1
        self._waiting.append(_Entry(event, self._last_number, now_s))
