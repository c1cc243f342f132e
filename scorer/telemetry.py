"""What the scorer tells of its rankings."""

from typing import Protocol

import msgspec


class RankRecord(msgspec.Struct, frozen=True, gc=False):
    """One answered call: for how many users, how many of them unknown, and how long the ranking took, seconds."""

    users: int
    unknown_users: int
    elapsed_s: float


class Telemetry(Protocol):
    """Takes the records; must not raise."""

    def ranked(self, record: RankRecord) -> None:
        """Takes the rankings of a call."""

    def dropped(self, rankings: int) -> None:
        """Takes how many rankings nobody waited for."""


class Listeners:
    """Tells each.

    Args:
        listeners: Who is told, in order.
    """

    def __init__(self, *listeners: Telemetry) -> None:
        self._listeners = listeners

    def ranked(self, record: RankRecord) -> None:
        """Takes the rankings of a call."""
        for each in self._listeners:
            each.ranked(record)

    def dropped(self, rankings: int) -> None:
        """Takes how many rankings nobody waited for."""
        for each in self._listeners:
            each.dropped(rankings)
