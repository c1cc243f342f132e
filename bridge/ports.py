"""What the service needs from the outside."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from bridge.domain.consent import Unpersonalised
from bridge.domain.corrections import ActiveCorrections, Corrections
from bridge.domain.experiments import KnownExperiments
from bridge.domain.explanation import Decision
from bridge.domain.exploration import NewcomerList, Newcomers
from bridge.domain.filters import Conditions
from bridge.domain.history import FollowedPage, OlderHistory
from bridge.domain.ladder import Rung, Skipped
from bridge.domain.lists import EditorialList, TrendingLists, Viewer
from bridge.domain.outcome import FallbackReason
from bridge.domain.personal import UserList
from bridge.domain.recent import FollowedEvent
from bridge.domain.retry import Failure
from bridge.domain.switch import Switch
from feed.scoring.v1 import scoring_pb2

StoredT = TypeVar("StoredT")

# None: nobody has set anything.
SwitchVersion: TypeAlias = tuple[int, ...] | None


class ScorerError(Exception):
    """An attempt gave no ranking. The scorer's or the network's fault; the retry loop decides what follows.

    `shared` when another request has told the breaker of the same call.
    """

    def __init__(self, failure: Failure, *, shared: bool = False) -> None:
        super().__init__(failure.outcome.value)
        self.failure = failure
        self.shared = shared


class ListError(Exception):
    """A fallback list could not be read or kept. The database's or the file's fault; keep the last good one."""


class SwitchError(Exception):
    """The operators' switch cannot be read or set. The operator's or the disk's fault; what was set last holds."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a scorer answered.

    Args:
        response: The ranking.
        shared: Whether another request has told the breaker of the same call: what is one call to the scorer must
            not count several times.
    """

    response: scoring_pb2.RankResponse
    shared: bool = False


class Scorer(Protocol):
    """One scoring server."""

    @property
    def target(self) -> str:
        """Its name in metrics and logs, from the configuration."""

    async def rank(self, request: scoring_pb2.RankRequest, timeout_s: float) -> Answer:
        """Asks for a ranking; raises ScorerError. Cancelling it gives the call up."""


class RankCalls(Protocol):
    """The connection to one scoring server."""

    @property
    def target(self) -> str:
        """`host:port` of the server."""

    @property
    def batches(self) -> bool:
        """Whether it takes several requests in one call."""

    async def rank(
        self, requests: Sequence[scoring_pb2.RankRequest], timeout_s: float
    ) -> Sequence[scoring_pb2.RankResponse]:
        """Asks for rankings in one call, answered in order; raises ScorerError. Cancelling it cancels the call."""


class ExplainCalls(Protocol):
    """The connection to one scoring server that says what scores are made of."""

    async def explain(self, request: scoring_pb2.ExplainRequest, timeout_s: float) -> scoring_pb2.ExplainResponse:
        """Asks what scores are made of; raises ScorerError."""


class FallbackLists(Protocol):
    """The lists that serve when no scorer does. Asking cannot fail."""

    async def ladder(
        self, viewer: Viewer, asked: Conditions, corrections: Corrections, reason: FallbackReason, left_s: float
    ) -> Sequence[Rung | Skipped]:
        """Returns the ladder of a request, best rung first; all of it is in memory but the user's own list.

        Args:
            viewer: Whom it is for.
            asked: Which videos may appear; the rungs still hold others.
            corrections: What editors changed; the rungs are as they say.
            reason: Why the model did not serve; NONE: it was not wanted.
            left_s: What is left of the request's time, in seconds; not all of it is used.
        """

    def newcomers(self, lot: float, corrections: Corrections) -> Newcomers:
        """Returns the new videos that a page may draw from, out of memory.

        Args:
            lot: Draws the group, 0 to below 1.
            corrections: What editors changed; what they block is left out.
        """


class ListReader(Protocol):
    """Where fresh fallback lists come from. Its methods raise ListError."""

    async def trending(self, now: float) -> TrendingLists:
        """Reads what is watched most; `now` in Unix seconds is noted as its time."""

    async def editorial(self) -> EditorialList:
        """Reads what serves when nothing else is left."""

    async def newcomers(self) -> NewcomerList:
        """Reads new videos."""


class ListStore(Protocol):
    """Where the last good lists outlive the process. Both methods raise ListError."""

    async def load(self, name: str, kind: type[StoredT]) -> StoredT | None:
        """Reads the list of that name; None when there is none."""

    async def save(self, name: str, content: object) -> None:
        """Keeps a list in place of the one of that name, wholly or not at all."""


class Decisions(Protocol):
    """Where it stands what was served."""

    async def read(self, recommendation_id: str, user_id: str, video_id: str) -> Decision | None:
        """Reads why a video was on a page; None when that is not known; raises ListError."""


class UserLists(Protocol):
    """Where users' own lists are, made beforehand."""

    async def read(self, user_id: str, limit: int, *, with_facts: bool) -> UserList:
        """Reads the best videos of a user, at most `limit`, only active ones; raises ListError."""


class NumberedRow(Protocol):
    """A row of a table that only grows."""

    @property
    def row(self) -> int:
        """Its number; grows."""


RowT = TypeVar("RowT", bound=NumberedRow)
RowT_co = TypeVar("RowT_co", bound=NumberedRow, covariant=True)


class RowReader(Protocol[RowT_co]):
    """Where the newest rows of a table are. Its methods raise ListError."""

    async def newest_row(self) -> int:
        """Returns the number of the newest row; 0 when there is none."""

    async def rows_after(self, row: int, limit: int) -> Sequence[RowT_co]:
        """Returns the next rows with a higher number, oldest first, at most so many; fewer at the end."""

    async def rows_of(self, numbers: Sequence[int]) -> Sequence[RowT_co]:
        """Returns those of these rows that are there, oldest first; a thousand at most."""


RecentReader: TypeAlias = RowReader[FollowedEvent]
PageReader: TypeAlias = RowReader[FollowedPage]


class HistoryReader(Protocol):
    """Where users' histories are. Ids of videos are parted by line feeds; one may come twice. Raises ListError."""

    async def newer(self, user_id: str, now: float, since: float) -> str:
        """Reads what a user met since a time, and what the user was served; times in Unix seconds."""

    async def older(self, user_id: str, now: float, until: float, trained_until: float) -> OlderHistory:
        """Reads what a user met until a time, parted by when the model was trained; times in Unix seconds."""


class UserReader(Protocol):
    """Where users are."""

    async def words(self, user_id: str, locale: str, country: str) -> Sequence[str]:
        """Reads what is known of a user, such as `country=AT`; raises ListError.

        Args:
            user_id: The user.
            locale: What the request says (BCP 47), which goes before what is stored; empty: nothing.
            country: The same of the country (ISO 3166-1 alpha-2).
        """


class CorrectionReader(Protocol):
    """Where corrections are."""

    async def active(self, mark: str) -> ActiveCorrections | None:
        """Returns the corrections in force, or None when they are those of this mark; raises ListError."""


class ConsentReader(Protocol):
    """Where it stands who wants to be known."""

    async def unpersonalised(self, mark: str) -> Unpersonalised | None:
        """Returns who gets nothing personal, or None when it is those of this mark; raises ListError."""


class ExperimentReader(Protocol):
    """Where experiments are."""

    async def known(self) -> KnownExperiments:
        """Reads those that are not over; raises ListError."""


class SwitchStore(Protocol):
    """Where operators leave what they set. Its methods raise SwitchError."""

    def version(self) -> SwitchVersion:
        """Returns what tells one content from another without reading it."""

    def read(self) -> Switch:
        """Returns what is set; nothing when nobody has set anything."""

    def write(self, switch: Switch) -> None:
        """Sets it for all bridges that share the store."""


class Waits(Protocol):
    """Knows how long requests wait before they begin."""

    def lag_s(self, now: float) -> float:
        """Returns how long a request that begins now may have waited, in seconds; ask once a request."""


class Clock(Protocol):
    """Time."""

    def monotonic(self) -> float:
        """Seconds that never jump; for measuring."""

    def wall(self) -> float:
        """Unix seconds; for stamping what others read."""

    async def sleep(self, seconds: float) -> None:
        """Waits."""


class Chance(Protocol):
    """Randomness."""

    def jitter(self) -> float:
        """Returns a random number in [0, 1)."""

    def new_id(self) -> str:
        """Returns an id that nobody else makes."""
