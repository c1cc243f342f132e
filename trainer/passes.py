"""A fit that is taken pass by pass."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def to_the_end(steps: Iterable[T], on_pass: Callable[[], None]) -> T:
    """Takes every step, at least one, calls `on_pass` after each, and returns the last one."""
    for step in steps:
        on_pass()
        last = step
    return last
