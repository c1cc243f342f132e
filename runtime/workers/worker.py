"""A worker as it sees itself: one of several processes on the same ports, under one parent.

Parent and worker share a socket, the worker's standard input. The worker's number goes down, one byte comes up once it
serves, and the end of the stream means that the other one is gone.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONTROL_FD: Final = 0
SERVING: Final = b"s"
# What goes down at once is short enough to come in one piece.
_LINE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Worker:
    """One of the workers.

    Args:
        number: From 1 to `count`; a worker that follows a dead one takes its number.
        count: How many there are.
        folder: Where they find each other; nobody else can enter it.
    """

    number: int
    count: int
    folder: Path

    def metrics_path(self, number: int) -> Path:
        """Returns the socket on which a worker gives its metrics to the others."""
        return self.folder / f"{number}.metrics"

    @property
    def others(self) -> tuple[int, ...]:
        """Numbers of the other workers."""
        return tuple(number for number in range(1, self.count + 1) if number != self.number)

    def tell_serving(self) -> None:
        """Tells the parent that requests are answered now."""
        os.write(CONTROL_FD, SERVING)

    def when_parent_ends(self, act: Callable[[], None]) -> None:
        """Calls `act` once when the parent is gone, however it ended: a worker must not outlive it."""
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(CONTROL_FD)
            act()

        loop.add_reader(CONTROL_FD, ended)


def join(folder: Path, count: int) -> Worker | None:
    """Waits for the parent's word to serve; None when it ends without one."""
    line = os.read(CONTROL_FD, _LINE_BYTES)
    return Worker(int(line), count, folder) if line else None
