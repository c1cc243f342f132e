"""What the keeper and the guardian tell, for all who want to hear it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from insights.guardian import GuardTelemetry
from insights.keeper import Step, Telemetry
from insights.ports import LedgerState


class Listener(Telemetry, GuardTelemetry, Protocol):
    """Takes everything."""


class Listeners:
    """Tells several what is told to it.

    Args:
        listeners: Who is told, in this order.
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def caught_up(self) -> None:
        """Tells that everything there was is on the ledger."""
        for each in self._listeners:
            each.caught_up()

    def added_up(self, state: LedgerState) -> None:
        """Tells what the ledger adds up to."""
        for each in self._listeners:
            each.added_up(state)

    def step_failed(self, step: Step) -> None:
        """Tells one failed attempt."""
        for each in self._listeners:
            each.step_failed(step)

    def looked(self, running: int, mismatched: int) -> None:
        """Tells how many experiments are running and mismatched."""
        for each in self._listeners:
            each.looked(running, mismatched)

    def stopped(self, name: str, harms: Sequence[str]) -> None:
        """Tells that an experiment was stopped."""
        for each in self._listeners:
            each.stopped(name, harms)

    def mismatched(self, name: str, users: Mapping[str, int]) -> None:
        """Tells that an experiment has not the users it should."""
        for each in self._listeners:
            each.mismatched(name, users)
