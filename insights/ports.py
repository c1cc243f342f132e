"""What the insights need: the ledger, and what it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from insights.domain.analytics import AnalyticsEvent, EventName
from insights.domain.corrections import Period
from insights.domain.experiment_report import ExperimentReport
from insights.domain.funnel import Days, Parts, Split, Window
from insights.domain.ledger import Claim, Verdict
from insights.domain.scrapes import Samples
from storage.audit import Actor, Door, Recorded
from storage.correction_rules import Rule
from storage.corrections import StoredCorrection
from storage.experiment_rules import Definition
from storage.experiments import StoredExperiment


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


@dataclass(frozen=True, slots=True)
class PeriodCounts:
    """What became of the videos that a correction is about, of those that were served in a time.

    Args:
        period: The time.
        served: Videos that were served.
        accepted: Those whose outcome says so.
        hidden: Those that were hidden or blacklisted.
        pending: Those whose outcome is still open.
    """

    period: Period
    served: int
    accepted: int
    hidden: int
    pending: int


@dataclass(frozen=True, slots=True)
class CorrectionEffect:
    """A correction, and what was served before and since it was made, for as long.

    Args:
        correction: The correction.
        before: What was served before it was made.
        since: What was served since.
        one_in: Of how many served videos one was looked at, at even distances in time; 1: all of them.
    """

    correction: StoredCorrection
    before: PeriodCounts
    since: PeriodCounts
    one_in: int


@dataclass(frozen=True, slots=True)
class CorrectionStory:
    """A correction, and who made it and switched it off, newest first."""

    correction: StoredCorrection
    changes: Sequence[Recorded]


class Corrections(Protocol):
    """What editors change by hand; each method raises LedgerUnavailableError."""

    async def create(self, rule: Rule, reason: str, admin: Actor) -> StoredCorrection:
        """Adds a correction; raises CorrectionError when it makes no sense."""

    async def deactivate(self, correction_id: str, admin: Actor) -> StoredCorrection | None:
        """Switches one off, which may be off; None: there is none of that id. Raises CorrectionError without a name."""

    async def newest(
        self, limit: int, *, include_inactive: bool, after: tuple[datetime, str] | None
    ) -> Sequence[StoredCorrection]:
        """Returns so many, newest first, from behind the one of this time and id on."""

    async def effect(self, correction_id: str, window: timedelta) -> CorrectionEffect | None:
        """Counts on each side of when one was made, for this long at most; None: there is none of that id."""

    async def story(self, correction_id: str) -> CorrectionStory | None:
        """Returns one with who changed it; None: there is none of that id."""


@dataclass(frozen=True, slots=True)
class PageHead:
    """What holds for a whole served page.

    Args:
        recommendation_id: Its id.
        user_id: To whom it was served.
        feed_session_id: In which session; empty: not known.
        served_at: When.
        source: Where its ranking came from.
        fallback_reason: Why it is not the model's; empty or `NONE`: it is.
        algorithm: What ranked it.
        model_version: The model; empty: none did.
        experiments: Experiment and variant of each it was part of.
        filters: What was asked of every video.
        removed: How many videos each rule took out.
    """

    recommendation_id: str
    user_id: str
    feed_session_id: str
    served_at: datetime
    source: str
    fallback_reason: str
    algorithm: str
    model_version: str
    experiments: Sequence[tuple[str, str]]
    filters: Mapping[str, object]
    removed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ServedVideo:
    """A video of a served page, and what became of it.

    Args:
        position: Its place in the session, from 1.
        video_id: Its id.
        title: Its title; empty: none is known.
        score: Its score; None: it had none.
        parts: What the score is made of.
        propensity: With which probability it got its place; None: not by lot.
        outcome: What it stands at; empty: it is not on the ledger.
        rating: The rating, 0 to 10.
        watch_time_s: How long it was watched, in seconds.
    """

    position: int
    video_id: str
    title: str
    score: float | None
    parts: Mapping[str, float]
    propensity: float | None
    outcome: str
    rating: float | None
    watch_time_s: float


@dataclass(frozen=True, slots=True)
class ServedPage:
    """A served page with its videos, best first."""

    head: PageHead
    videos: Sequence[ServedVideo]


class ServedPages(Protocol):
    """What was served; each method raises LedgerUnavailableError."""

    async def page(self, recommendation_id: str) -> ServedPage | None:
        """Returns a page; None: none of that id is known, or it had no video."""

    async def newest_of(self, user_id: str, limit: int) -> Sequence[PageHead]:
        """Returns the pages that a user was served last, newest first."""


@dataclass(frozen=True, slots=True)
class ExperimentStory:
    """An experiment, and who made it, started it and stopped it, newest first."""

    experiment: StoredExperiment
    changes: Sequence[Recorded]


class ExperimentDesk(Protocol):
    """Experiments for those who make them; each method raises LedgerUnavailableError.

    Those that change one raise ExperimentError where that makes no sense, or not at this time.
    """

    async def newest(self, limit: int) -> Sequence[StoredExperiment]:
        """Returns so many, the newest first."""

    async def story(self, name: str) -> ExperimentStory | None:
        """Returns one with who changed it; None: there is none of that name."""

    async def report(self, definition: Definition) -> ExperimentReport:
        """Reports on one that was started."""

    async def create(self, definition: Definition, door: Door) -> None:
        """Adds a draft, made by its `admin_id` through a door."""

    async def start(self, name: str, admin: Actor) -> None:
        """Gives a draft its users and starts it."""

    async def stop(self, name: str, admin: Actor, reason: str) -> None:
        """Stops one for good."""


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
    """The models folder; each method raises ModelsError, and LedgerUnavailableError where changes cannot be kept."""

    async def published(self) -> PublishedModels | None:
        """Returns what is there; None: there is no models folder on this machine, or none that may be written to."""

    async def serve(self, model_version: str, instead_of: str | None, admin: Actor) -> None:
        """Makes a model serve instead of another, once it was read back and found good, and keeps who did it."""
