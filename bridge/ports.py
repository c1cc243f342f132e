"""What the service needs from the outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from bridge.domain.filters import Conditions
from bridge.domain.ladder import Rung, Skipped
from bridge.domain.lists import EditorialList, TrendingLists
from bridge.domain.outcome import FallbackReason
from bridge.domain.personal import UserList
from bridge.domain.recent import RecentEvent
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


@dataclass(frozen=True, slots=True)
class Answer:
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


class FallbackLists(Protocol):
    """The lists that serve when no scorer does. Asking cannot fail."""

    async def ladder(
        self, user_id: str, country: str, asked: Conditions, reason: FallbackReason, left_s: float
    ) -> Sequence[Rung | Skipped]:
        """Returns the ladder of a request, best rung first; all of it is in memory but the user's own list.

        Args:
            user_id: The user.
            country: The user's country; empty when unknown.
            asked: Which videos may appear.
            reason: Why the model did not serve.
            left_s: What is left of the request's time, in seconds; not all of it is used.
        """


class ListReader(Protocol):
    """Where fresh fallback lists come from. Both methods raise ListError."""

    async def trending(self, now: float) -> TrendingLists:
        """Reads what is watched most; `now` in Unix seconds is noted as its time."""

    async def editorial(self) -> EditorialList:
        """Reads what serves when nothing else is left."""


class ListStore(Protocol):
    """Where the last good lists outlive the process. Both methods raise ListError."""

    async def load(self, name: str, kind: type[StoredT]) -> StoredT | None:
        """Reads the list of that name; None when there is none."""

    async def save(self, name: str, content: object) -> None:
        """Keeps a list in place of the one of that name, wholly or not at all."""


class UserLists(Protocol):
    """Where users' own lists are, made beforehand."""

    async def read(self, user_id: str, limit: int, *, with_facts: bool) -> UserList:
        """Reads the best videos of a user, at most `limit`, only active ones; raises ListError."""


# Number of the row, user, and the interaction in a request that holds nothing else, serialized; oldest first.
RecentRows: TypeAlias = Sequence[tuple[int, str, RecentEvent]]


class RecentReader(Protocol):
    """Where the newest interactions are. Its methods raise ListError."""

    async def newest_row(self) -> int:
        """Returns the number of the newest row; 0 when there is none."""

    async def rows_after(self, row: int) -> RecentRows:
        """Returns the next rows with a higher number; none at the end."""


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
