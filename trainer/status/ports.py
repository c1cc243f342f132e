"""Who is told how runs go, as Protocols, with the fakes that tests use."""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Protocol

from storage.trainings import RunStatus


class DestinationError(Exception):
    """A destination is away or refuses us; it is told later. The operator reads why in the log and in the outbox."""


class StatusDestination(Protocol):
    """Keeps what came of runs, once for each."""

    def tell(self, status: RunStatus) -> None:
        """Writes what came of a run; what it has of the same run already is replaced.

        Raises:
            DestinationError: When it is not sure to have it.
        """

    def close(self) -> None:
        """Closes every connection."""


# Opened only when something is to be told: a library behind one takes seconds to import.
Destinations = Mapping[str, Callable[[], StatusDestination]]


class RunTelemetry(Protocol):
    """Hears at once how runs go; what it misses is not told again."""

    def beat(self) -> None:
        """Hears that a run lives."""

    def ended(self, status: RunStatus) -> None:
        """Hears what came of a run."""

    def lacks_good_model(self, since: timedelta | None) -> None:
        """Hears, once a spell, that no good model has come for too long; None: none ever did."""

    def good_model_age(self, age: timedelta) -> None:
        """Hears how old the last good model is."""

    def close(self) -> None:
        """Sends what is left."""


class RememberingDestination:
    """A StatusDestination for tests: remembers by run, or is away."""

    def __init__(self) -> None:
        self.told: dict[str, RunStatus] = {}
        self.calls = 0
        self.away: Collection[str] | None = ()

    def tell(self, status: RunStatus) -> None:
        """Remembers it; refuses what `away` names, and everything while that is None."""
        self.calls += 1
        if self.away is None or status.model_version in self.away:
            raise DestinationError("away")
        self.told[status.model_version] = status

    def close(self) -> None:
        """Does nothing."""


class SilentTelemetry:
    """A RunTelemetry of who has no agent."""

    def beat(self) -> None:
        """Does nothing."""

    def ended(self, status: RunStatus) -> None:
        """Does nothing."""

    def lacks_good_model(self, since: timedelta | None) -> None:
        """Does nothing."""

    def good_model_age(self, age: timedelta) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class RememberingTelemetry(SilentTelemetry):
    """A RunTelemetry for tests: remembers what it heard but the beats and ages."""

    def __init__(self) -> None:
        self.ends: list[RunStatus] = []
        self.alerts: list[timedelta | None] = []

    def ended(self, status: RunStatus) -> None:
        """Remembers it."""
        self.ends.append(status)

    def lacks_good_model(self, since: timedelta | None) -> None:
        """Remembers it."""
        self.alerts.append(since)
