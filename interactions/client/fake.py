"""A service in memory, for tests of the client."""

from collections import deque
from collections.abc import Callable, Sequence

from interactions.client.event import Event
from interactions.client.transport import Answer, Answered, Result


def accept(events: Sequence[Event]) -> Answer:
    """Acknowledges each event."""
    return Answered([Result(accepted=True)] * len(events))


class FakeTransport:
    """Answers as it is told, and then acknowledges everything.

    Args:
        answers: What it says to the first calls.
    """

    def __init__(self, *answers: Callable[[Sequence[Event]], Answer] | Answer) -> None:
        self._answers = deque(answers)
        self.calls: list[list[str]] = []
        self.closed = 0
        self.forked = 0

    def send(self, events: Sequence[Event], timeout_s: float) -> Answer:  # noqa: ARG002  # it never waits
        """Takes the events and gives the next answer."""
        self.calls.append([event.event_id for event in events])
        answer = self._answers.popleft() if self._answers else accept
        return answer(events) if callable(answer) else answer

    def close(self) -> None:
        """Counts."""
        self.closed += 1

    def after_fork(self) -> None:
        """Counts."""
        self.forked += 1
