"""How a batch of events reaches the service."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from interactions.client.event import Event


class Result(NamedTuple):
    """What became of one event: acknowledged, or rejected for what is in it."""

    accepted: bool
    field: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The service has judged each event; one result an event, in order."""

    results: Sequence[Result]


@dataclass(frozen=True, slots=True)
class Failed:
    """No event is acknowledged; all are to be sent again.

    Args:
        reason: What happened.
        retry_after_s: How long the service wants to be left alone, in seconds; None: it did not say.
    """

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The service cannot read the call as a whole, and never will; smaller calls show which event is to blame."""

    reason: str

    def alone(self) -> Result:
        """Returns the result of the event when it was the only one of the call."""
        return Result(accepted=False, field="interaction", reason=self.reason)


Answer: TypeAlias = Answered | Failed | Unreadable


class Transport(Protocol):
    """Sends batches; used by one thread at a time."""

    def send(self, events: Sequence[Event], timeout_s: float) -> Answer:
        """Makes one call; whatever goes wrong on the way is an answer, not an exception."""

    def close(self) -> None:
        """Closes the connection; a later `send` opens another."""

    def after_fork(self) -> None:
        """Leaves the connection to the parent process; a later `send` opens another."""
