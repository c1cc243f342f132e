"""How long the steps of a run took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trainer.ports import Progress


class TimedProgress:
    """A Progress that hands on what it is told, and measures the steps.

    Args:
        inner: Who else is told.
    """

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        """Opens a step; steps of one name are added up, also one that failed."""
        start = time.monotonic()
        try:
            with self._inner.step(name, total) as advance:
                yield advance
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + round(time.monotonic() - start, 3)

    def fact(self, name: str, **values: object) -> None:
        """Tells one finding."""
        self._inner.fact(name, **values)
