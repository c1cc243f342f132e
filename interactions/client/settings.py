"""When the client sends, how much it keeps, how long it waits."""

import math
from dataclasses import dataclass, fields
from typing import Final

# What the service takes in one call.
SERVICE_MAX_EVENTS: Final = 100
# Below the 64 KiB that the service reads of one body.
SERVICE_MAX_BYTES: Final = 60_000


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """The settings of a Tracker; wrong ones raise ValueError, all at once.

    Args:
        flush_events: A call is made as soon as so many events wait.
        flush_interval_s: A call is made at the latest when an event has waited so long, in seconds.
        max_batch_events: Most events in one call, up to 100.
        max_batch_bytes: Most bytes of events in one call, up to 60,000.
        max_waiting: Most events that wait for their answer; further ones are refused.
        call_timeout_s: Longest wait for the answer to a call, in seconds.
        first_backoff_s: Upper end of the wait after a first failed call, in seconds; doubles with each further one.
        longest_backoff_s: Where the doubling ends, in seconds.
        exit_timeout_s: Longest that the end of the process is held up, in seconds.
    """

    flush_events: int = 20
    flush_interval_s: float = 5.0
    max_batch_events: int = SERVICE_MAX_EVENTS
    max_batch_bytes: int = SERVICE_MAX_BYTES
    max_waiting: int = 10_000
    call_timeout_s: float = 10.0
    first_backoff_s: float = 0.5
    longest_backoff_s: float = 30.0
    exit_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        """Checks every value."""
        problems = [_problem(field.name, getattr(self, field.name)) for field in fields(self)]
        told = "; ".join(problem for problem in problems if problem)
        if told:
            raise ValueError(told)


_UPPER: Final = {"max_batch_events": SERVICE_MAX_EVENTS, "max_batch_bytes": SERVICE_MAX_BYTES}
_MAY_BE_ZERO: Final = {"flush_interval_s", "first_backoff_s", "longest_backoff_s", "exit_timeout_s"}


def _problem(name: str, value: float) -> str | None:
    lowest, highest = (0 if name in _MAY_BE_ZERO else 1e-3 if name.endswith("_s") else 1), _UPPER.get(name, math.inf)
    if lowest <= value <= highest and math.isfinite(value):
        return None
    return f"{name} must be {f'{lowest} to {highest}' if name in _UPPER else f'at least {lowest}'}, is {value}"
