"""What the service needs from the outside."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bridge.domain.filters import VideoFacts
from bridge.domain.ladder import Rung
from bridge.domain.lists import EditorialList, TrendingLists
from bridge.domain.retry import Failure
from feed.scoring.v1 import scoring_pb2


class ScorerError(Exception):
    """An attempt gave no ranking. The scorer's or the network's fault; the retry loop decides what follows."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.outcome.value)
        self.failure = failure


class ListError(Exception):
    """A fallback list could not be read. The database's or the file's fault; keep the last good one."""


class Scorer(Protocol):
    """One scoring server."""

    @property
    def target(self) -> str:
        """Its name in metrics and logs, from the configuration."""

    async def rank(self, request: scoring_pb2.RankRequest, timeout_s: float) -> scoring_pb2.RankResponse:
        """Asks for a ranking; raises ScorerError. Cancelling it cancels the call."""


class FallbackLists(Protocol):
    """The lists that serve when no scorer does: in memory, so that asking cannot fail."""

    def rungs(self, country: str) -> Sequence[Rung]:
        """Returns the ladder for a country (empty: unknown), best rung first; the last may be an empty list."""

    @property
    def facts(self) -> Mapping[str, VideoFacts]:
        """What is known of the videos on them."""


class ListReader(Protocol):
    """Where fresh fallback lists come from. Both methods raise ListError."""

    async def trending(self, now: float) -> TrendingLists:
        """Reads what is watched most; `now` in Unix seconds is noted as its time."""

    async def editorial(self) -> EditorialList:
        """Reads what serves when nothing else is left."""


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
