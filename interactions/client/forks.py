"""What a forked process does not inherit: threads, and whatever they held at that moment."""

import os
import weakref
from collections.abc import Callable

from interactions.client.sender import Sender


class SenderOfProcess:
    """The Sender of this process; a process that is forked off gets one of its own.

    The parent's is held still during the fork, so that no call is half made whose locks the child would inherit.

    Args:
        make: Makes a Sender.
    """

    def __init__(self, make: Callable[[], Sender]) -> None:
        self._make = make
        self.sender = make()
        _follow_forks(weakref.ref(self))

    def before_fork(self) -> None:
        """Holds the Sender still."""
        self.sender.pause()

    def after_fork_in_parent(self) -> None:
        """Lets it go on."""
        self.sender.resume()

    def after_fork_in_child(self) -> None:
        """Leaves it, with its connection and its events, to the parent, and begins anew."""
        self.sender.leave_to_parent()
        self.sender = self._make()


def _follow_forks(found: "weakref.ref[SenderOfProcess]") -> None:
    """Tells it of forks for as long as it lives."""
    told: list[SenderOfProcess] = []

    def before() -> None:
        each = found()
        if each is not None:
            each.before_fork()
            told.append(each)

    def in_parent() -> None:
        while told:
            told.pop().after_fork_in_parent()

    def in_child() -> None:
        while told:
            told.pop().after_fork_in_child()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
