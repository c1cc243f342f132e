"""Progress: a bar for a person, JSON lines for a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class LogProgress:
    """Writes one log line when a step ends."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("trainer")

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        """Opens a step."""
        start = time.monotonic()
        yield lambda: None
        self._log.info("trainer.step", step=name, parts=total, elapsed_s=round(time.monotonic() - start, 3))

    def fact(self, name: str, **values: object) -> None:
        """Writes one finding."""
        self._log.info(f"trainer.{name}", **values)


class BarProgress:
    """Draws a bar for each step.

    Args:
        console: Where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        """Opens a step."""
        columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bars(*columns, console=self._console) as bars:
            task = bars.add_task(name, total=total)
            yield lambda: bars.advance(task)

    def fact(self, name: str, **values: object) -> None:
        """Prints one finding."""
        self._console.print(f"{name:<12} " + "  ".join(f"{key} {_short(value)}" for key, value in values.items()))


def _short(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
