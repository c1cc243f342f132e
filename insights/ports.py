"""What the insights need: the ledger, and what it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from insights.domain.analytics import AnalyticsEvent, EventName
from insights.domain.experiment_report import ExperimentReport
from insights.domain.funnel import Days, Parts, Split, Window
from insights.domain.ledger import Claim, Verdict
from insights.domain.scrapes import Samples


class LedgerUnavailableError(Exception):
    """The database cannot be used now. Nothing was changed; try again."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How much of what was served was accepted.

    Args:
        served: Videos that were served.
        accepted: Those of them whose outcome says so.
    """

    served: int
    accepted: int

    @property
    def rate(self) -> float:
        """The share, 0 to 1; 0 when nothing was served."""
        return self.accepted / self.served if self.served else 0.0


@dataclass(frozen=True, slots=True)
class Performance:
    """The figures of one algorithm.

    Args:
        algorithm: Its name.
        acceptance: What was served and accepted.
        ever_consumed: Videos that were consumed, whatever else was done.
        ever_added: Those that were liked, added or shared.
        ever_rated: Those that were rated.
    """

    algorithm: str
    acceptance: Acceptance
    ever_consumed: int
    ever_added: int
    ever_rated: int


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the ledger adds up to.

    Args:
        served: Videos on it.
        by_outcome: How many stand at each outcome, `pending` included.
        by_verdict: How many claims were judged how.
        waiting: Claims whose page is not known yet.
    """

    served: int
    by_outcome: Mapping[str, int]
    by_verdict: Mapping[str, int]
    waiting: int

    @property
    def balance(self) -> int:
        """Served less what became of it: anything but 0 is a fault of the ledger."""
        return self.served - sum(self.by_outcome.values())


@dataclass(frozen=True, slots=True)
class RunningExperiment:
    """An experiment that is running, and what is known of it."""

    name: str
    report: ExperimentReport


class Experiments(Protocol):
    """Experiments and what their users did; each method raises LedgerUnavailableError."""

    async def running(self) -> Sequence[RunningExperiment]:
        """Reports on each experiment that is running."""

    async def stop(self, name: str, reason: str) -> None:
        """Stops an experiment."""


class AnalyticsError(Exception):
    """Product analytics is away or refuses us. Told again later, under the same ids."""


@dataclass(frozen=True, slots=True)
class Untold:
    """What is to be told next.

    Args:
        events: The events, the oldest first; a stretch of rows may have none.
        until: Up to which row they are.
    """

    events: Sequence[AnalyticsEvent]
    until: int


class AnalyticsLog(Protocol):
    """What is to be told to product analytics; each method raises LedgerUnavailableError."""

    async def untold(self, name: EventName) -> Untold | None:
        """Returns the next events of a name; None when there are none."""

    async def told(self, name: EventName, until: int) -> None:
        """Says that everything up to a row was told."""


class Analytics(Protocol):
    """Where product analytics is."""

    def send(self, events: Sequence[AnalyticsEvent]) -> None:
        """Sends events, and returns once all of them have been taken. Blocks.

        Raises:
            AnalyticsError: When one of them was not.
        """


class Ledger(Protocol):
    """What became of what was served; each method is one transaction, and raises LedgerUnavailableError."""

    async def take_pages(self) -> bool:
        """Opens an entry for each video of the next pages; says whether there are more."""

    async def take_interactions(self) -> bool:
        """Ties the next interactions; says whether there are more."""

    async def take_tracked(self) -> bool:
        """Ties the next claims that were tracked; says whether there may be more."""

    async def tidy(self) -> bool:
        """Closes entries whose window is over, gives up claims that have waited as long; says whether more may be."""

    async def track(self, claim: Claim) -> Verdict:
        """Keeps one claim, which is tied soon after, if it is TIED or WAITING; REPEATED: it says nothing new."""


class Answers(Protocol):
    """What the ledger says; each method raises LedgerUnavailableError."""

    async def acceptance(self, since: date, *, user_id: str, algorithm: str) -> Acceptance:
        """Returns how much was accepted of what was served since a day (UTC); empty ids: of all."""

    async def performance(self, since: date) -> Sequence[Performance]:
        """Returns the figures of each algorithm since a day (UTC), by name."""

    async def funnel(self, window: Window, algorithm: str, split: Split | None) -> Parts:
        """Returns how far what was served came, by part; without a split under an empty name. Empty algorithm: all."""

    async def trends(self, window: Window, algorithm: str, split: Split | None) -> Days:
        """Returns the same by part and day; a day is missing when nothing was served."""

    async def state(self) -> LedgerState:
        """Returns what the ledger adds up to."""


class ExpositionError(Exception):
    """A process does not tell its metrics: it is away, slow, or not what we take it for. Ask again later."""


class Exposition(Protocol):
    """The metrics of other processes."""

    async def read(self, url: str) -> Samples:
        """Returns what a process tells now; raises ExpositionError."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How new the newest is.

    Args:
        interaction_at: When the newest interaction came in; None: there is none.
        page_at: When the newest page was served; None: there is none.
    """

    interaction_at: datetime | None
    page_at: datetime | None


class Pulse(Protocol):
    """What the database says of the last days; each method raises LedgerUnavailableError."""

    async def freshness(self) -> Freshness:
        """Returns how new the newest is."""

    async def served_by_source(self, since: date) -> Mapping[tuple[date, str], int]:
        """Returns how many videos were served since a day (UTC), by day and source."""


@dataclass(frozen=True, slots=True)
class Training:
    """A training, as the register has it; its times are UTC.

    Args:
        model_version: Names it, and the model that came of it.
        algorithm: Such as "lightfm-warp".
        status: `started`, `succeeded`, `refused` or `failed`.
        error: Why it failed or was refused.
        started_at: When it began.
        elapsed_s: How long it took, in seconds; None while it runs.
        interactions: How many it learned from; None: it did not come so far.
        metrics: What was measured.
    """

    model_version: str
    algorithm: str
    status: str
    error: str | None
    started_at: datetime
    elapsed_s: float | None
    interactions: int | None
    metrics: Mapping[str, float]


class Trainings(Protocol):
    """The register of trainings; raises LedgerUnavailableError."""

    async def newest(self, limit: int) -> Sequence[Training]:
        """Returns the trainings that began last, the newest first."""


class ModelsError(Exception):
    """The models folder is not as it should be; the text says what is wrong. What serves goes on serving."""


@dataclass(frozen=True, slots=True)
class PublishedModels:
    """What the models folder holds.

    Args:
        live: The model that serves; None: none does.
        previous: The one to go back to; None: there is none.
        candidate: The one that is tried; None: none is.
        trial: How it is tried, such as "canary, 5% of users"; empty: none is.
        versions: All that are there.
    """

    live: str | None
    previous: str | None
    candidate: str | None
    trial: str
    versions: Sequence[str]


class Models(Protocol):
    """The models folder; each method raises ModelsError."""

    async def published(self) -> PublishedModels | None:
        """Returns what is there; None: there is no models folder on this machine, or none that may be written to."""

    async def serve(self, model_version: str) -> None:
        """Makes a model serve, once it was read back and found good."""
