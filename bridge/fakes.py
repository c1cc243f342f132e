"""Stand-ins for the ports, for tests: virtual time, scripted scorers, fixed lists."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.domain.filters import VideoFacts
from bridge.domain.ladder import Rung
from bridge.domain.lists import EditorialList, Ladders, TrendingLists
from bridge.domain.outcome import Outcome
from bridge.domain.retry import Failure
from bridge.ports import ListError, ScorerError
from bridge.telemetry import AttemptMade, BreakerMoved, ListFailed, PageServed
from feed.scoring.v1 import scoring_pb2


class FakeClock:
    """Time that passes only when somebody waits.

    Args:
        now: Monotonic seconds at the start.
        wall_offset: Unix seconds at monotonic zero.
    """

    def __init__(self, now: float = 1_000.0, wall_offset: float = 1_700_000_000.0) -> None:
        self.now = now
        self.wall_offset = wall_offset

    def monotonic(self) -> float:
        """Returns the virtual seconds."""
        return self.now

    def wall(self) -> float:
        """Returns the virtual Unix time."""
        return self.wall_offset + self.now

    async def sleep(self, seconds: float) -> None:
        """Lets the time pass at once."""
        self.now += seconds
        await asyncio.sleep(0)


class FakeChance:
    """Randomness without surprise.

    Args:
        jitter: What every draw gives.
    """

    def __init__(self, jitter: float = 0.5) -> None:
        self._jitter = jitter
        self._made = 0

    def jitter(self) -> float:
        """Returns the same number each time."""
        return self._jitter

    def new_id(self) -> str:
        """Returns `id-1`, `id-2` and so on."""
        self._made += 1
        return f"id-{self._made}"


@dataclass(frozen=True, slots=True)
class Act:
    """What a scripted scorer does with one call.

    Args:
        response: What it answers; None: it fails.
        failure: How it fails; ignored when it answers.
        after_s: How long that takes; longer than the caller waits ends as a timeout.
        error: What it raises instead, as a bug would.
    """

    response: scoring_pb2.RankResponse | None = None
    failure: Failure = field(default_factory=lambda: Failure(Outcome.UNAVAILABLE))
    after_s: float = 0.0
    error: Exception | None = None


class ScriptedScorer:
    """The port `Scorer` by a script; the last act is repeated for ever.

    Args:
        target: Its name.
        clock: The virtual time that its answers take.
        acts: What it does, call by call.
    """

    def __init__(self, target: str, clock: FakeClock, acts: Sequence[Act]) -> None:
        self._target = target
        self._clock = clock
        self._acts = list(acts)
        self.timeouts_s: list[float] = []
        self.requests: list[scoring_pb2.RankRequest] = []

    @property
    def target(self) -> str:
        """Its name."""
        return self._target

    async def rank(self, request: scoring_pb2.RankRequest, timeout_s: float) -> scoring_pb2.RankResponse:
        """Plays the next act."""
        self.timeouts_s.append(timeout_s)
        self.requests.append(request)
        act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
        await self._clock.sleep(min(act.after_s, timeout_s))
        if act.after_s > timeout_s:
            raise ScorerError(Failure(Outcome.TIMEOUT))
        if act.error is not None:
            raise act.error
        if act.response is None:
            raise ScorerError(act.failure)
        return act.response


class FixedLists:
    """The port `FallbackLists` with lists that never change.

    Args:
        ladders: The lists.
    """

    def __init__(self, ladders: Ladders) -> None:
        self._ladders = ladders

    def rungs(self, country: str) -> Sequence[Rung]:
        """Returns the ladder of a country."""
        return self._ladders.countries.get(country, self._ladders.everybody)

    @property
    def facts(self) -> Mapping[str, VideoFacts]:
        """What is known of the videos."""
        return self._ladders.facts


class ScriptedLists:
    """The port `ListReader`; a list that is None cannot be read."""

    def __init__(self, trending: TrendingLists | None = None, editorial: EditorialList | None = None) -> None:
        self.trending_lists = trending
        self.editorial_list = editorial

    async def trending(self, now: float) -> TrendingLists:
        """Returns the list, or raises."""
        del now
        if self.trending_lists is None:
            raise ListError("trending")
        return self.trending_lists

    async def editorial(self) -> EditorialList:
        """Returns the list, or raises."""
        if self.editorial_list is None:
            raise ListError("editorial")
        return self.editorial_list


class Recorder:
    """An observer that keeps every record."""

    def __init__(self) -> None:
        self.pages: list[PageServed] = []
        self.attempts: list[AttemptMade] = []
        self.moves: list[BreakerMoved] = []
        self.list_failures: list[ListFailed] = []

    def page_served(self, record: PageServed) -> None:
        """Keeps a page."""
        self.pages.append(record)

    def attempt_made(self, record: AttemptMade) -> None:
        """Keeps an attempt."""
        self.attempts.append(record)

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Keeps a transition."""
        self.moves.append(record)

    def list_failed(self, record: ListFailed) -> None:
        """Keeps a trouble."""
        self.list_failures.append(record)
