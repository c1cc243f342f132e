"""Stand-ins for the ports, for tests: virtual time, scripted scorers, fixed lists."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.domain.consent import Unpersonalised
from bridge.domain.corrections import NO_CORRECTIONS, Corrections
from bridge.domain.explanation import Decision
from bridge.domain.exploration import NO_NEWCOMERS, NewcomerList, Newcomers, unblocked
from bridge.domain.filters import Conditions
from bridge.domain.history import OlderHistory
from bridge.domain.ladder import Rung, Skipped, with_corrections
from bridge.domain.lists import EditorialList, Ladders, TrendingLists, Viewer
from bridge.domain.outcome import FallbackReason, Outcome
from bridge.domain.personal import UserList
from bridge.domain.retry import Failure
from bridge.ports import Answer, ListError, ScorerError, StoredT
from bridge.telemetry import AttemptMade, BatchSent, BreakerMoved, ListFailed, PageServed, RequestRefused
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


class StoppedClock(FakeClock):
    """A clock on which a wait never ends, so that only what is asked for happens."""

    async def sleep(self, seconds: float) -> None:
        """Waits until it is cancelled."""
        del seconds
        await asyncio.Event().wait()


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
        self.explanations: Mapping[str, scoring_pb2.Explanation] | None = None

    @property
    def target(self) -> str:
        """Its name."""
        return self._target

    async def rank(self, request: scoring_pb2.RankRequest, timeout_s: float) -> Answer:
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
        return Answer(act.response)

    async def explain(self, request: scoring_pb2.ExplainRequest, timeout_s: float) -> scoring_pb2.ExplainResponse:
        """Answers what it was given for each video; without that, fails."""
        self.timeouts_s.append(timeout_s)
        if self.explanations is None:
            raise ScorerError(Failure(Outcome.UNAVAILABLE))
        known = self.explanations
        found = [known.get(each, scoring_pb2.Explanation(video_id=each)) for each in request.video_ids]
        return scoring_pb2.ExplainResponse(explanations=found, model_version="m1", algorithm="lightfm-warp")


class MemoryDecisions:
    """The port `Decisions` in memory.

    Args:
        decisions: By page, user and video.
    """

    def __init__(self, decisions: Mapping[tuple[str, str, str], Decision] | None = None) -> None:
        self.decisions = dict(decisions or {})
        self.broken = False

    async def read(self, recommendation_id: str, user_id: str, video_id: str) -> Decision | None:
        """Returns what is there, or raises."""
        if self.broken:
            raise ListError("decisions")
        return self.decisions.get((recommendation_id, user_id, video_id))


class FixedLists:
    """The port `FallbackLists` with lists that never change.

    Args:
        ladders: The lists.
        own: The rung of every user's own list, or none.
        newcomers: The new videos of every page.
    """

    def __init__(self, ladders: Ladders, *own: Rung | Skipped, newcomers: Newcomers = NO_NEWCOMERS) -> None:
        self._ladders = ladders
        self._own = own
        self._newcomers = newcomers
        self.lefts_s: list[float] = []

    async def ladder(
        self, viewer: Viewer, asked: Conditions, corrections: Corrections, reason: FallbackReason, left_s: float
    ) -> Sequence[Rung | Skipped]:
        """Returns the ladder of a country and a locale under the users' own rung."""
        del asked, reason
        self.lefts_s.append(left_s)
        steps = (*self._own, *self._ladders.of(viewer.country, viewer.locale))
        return with_corrections(steps, corrections) if corrections else steps

    def newcomers(self, lot: float, corrections: Corrections) -> Newcomers:
        """Returns the same each time, but for what is blocked."""
        del lot
        return unblocked(self._newcomers, corrections)


class FixedCorrections:
    """The port `Corrector`: for everybody the same, until somebody changes them.

    Args:
        corrections: They.
    """

    def __init__(self, corrections: Corrections = NO_CORRECTIONS) -> None:
        self.corrections = corrections

    def of(self, user_id: str) -> Corrections:
        """Returns them."""
        del user_id
        return self.corrections


class ScriptedLists:
    """The port `ListReader`; a list that is None cannot be read."""

    def __init__(
        self,
        trending: TrendingLists | None = None,
        editorial: EditorialList | None = None,
        newcomers: NewcomerList | None = None,
    ) -> None:
        self.trending_lists = trending
        self.editorial_list = editorial
        self.newcomer_list = newcomers

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

    async def newcomers(self) -> NewcomerList:
        """Returns the list, or raises."""
        if self.newcomer_list is None:
            raise ListError("newcomers")
        return self.newcomer_list


class MemoryLists:
    """The port `ListStore` in memory; one that is broken neither reads nor writes."""

    def __init__(self) -> None:
        self.lists: dict[str, object] = {}
        self.broken = False

    async def load(self, name: str, kind: type[StoredT]) -> StoredT | None:
        """Returns what was saved."""
        self._fail_if_broken(name)
        found = self.lists.get(name)
        if found is not None and not isinstance(found, kind):
            raise ListError(name)
        return found

    async def save(self, name: str, content: object) -> None:
        """Keeps it."""
        self._fail_if_broken(name)
        self.lists[name] = content

    def _fail_if_broken(self, name: str) -> None:
        if self.broken:
            raise ListError(name)


class ScriptedUserLists:
    """The port `UserLists`: fixed lists, behind a gate that can be shut, or an error.

    Args:
        lists: The lists by user.
    """

    def __init__(self, lists: Mapping[str, UserList]) -> None:
        self.lists = dict(lists)
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.calls: list[tuple[str, int, bool]] = []

    async def read(self, user_id: str, limit: int, *, with_facts: bool) -> UserList:
        """Returns the user's list, once the gate is open."""
        self.calls.append((user_id, limit, with_facts))
        await self.open.wait()
        if self.error is not None:
            raise self.error
        found = self.lists.get(user_id, UserList())
        return UserList(found.rows[:limit], found.facts if with_facts else {})


class ScriptedHistories:
    """The port `HistoryReader`: fixed histories, behind a gate each for newer and older parts, or an error."""

    def __init__(self) -> None:
        self.newer_ids: dict[str, str] = {}
        self.older_ids: dict[str, OlderHistory] = {}
        self.error: Exception | None = None
        self.newer_open, self.older_open = asyncio.Event(), asyncio.Event()
        self.newer_open.set()
        self.older_open.set()
        self.newer_calls: list[tuple[str, float, float]] = []
        self.older_calls: list[tuple[str, float, float, float]] = []

    async def newer(self, user_id: str, now: float, since: float) -> str:
        """Returns the user's newer part, once the gate is open."""
        self.newer_calls.append((user_id, now, since))
        await self.newer_open.wait()
        if self.error is not None:
            raise self.error
        return self.newer_ids.get(user_id, "")

    async def older(self, user_id: str, now: float, until: float, trained_until: float) -> OlderHistory:
        """Returns the user's older part, once the gate is open."""
        self.older_calls.append((user_id, now, until, trained_until))
        await self.older_open.wait()
        if self.error is not None:
            raise self.error
        return self.older_ids.get(user_id, OlderHistory())


class Recorder:
    """An observer that keeps every record."""

    def __init__(self) -> None:
        self.pages: list[PageServed] = []
        self.attempts: list[AttemptMade] = []
        self.batches: list[BatchSent] = []
        self.refusals: list[RequestRefused] = []
        self.moves: list[BreakerMoved] = []
        self.list_failures: list[ListFailed] = []

    def page_served(self, record: PageServed) -> None:
        """Keeps a page."""
        self.pages.append(record)

    def attempt_made(self, record: AttemptMade) -> None:
        """Keeps an attempt."""
        self.attempts.append(record)

    def batch_sent(self, record: BatchSent) -> None:
        """Keeps a batch."""
        self.batches.append(record)

    def request_refused(self, record: RequestRefused) -> None:
        """Keeps a refusal."""
        self.refusals.append(record)

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Keeps a transition."""
        self.moves.append(record)

    def list_failed(self, record: ListFailed) -> None:
        """Keeps a trouble."""
        self.list_failures.append(record)


class ScriptedConsents:
    """The port `ConsentReader`, and somebody who knows what it says: who is in `withheld` does not want to be known."""

    def __init__(self, *withheld: str) -> None:
        self.withheld = set(withheld)
        self.error: Exception | None = None

    def personalised(self, user_id: str) -> bool:
        """Says whether a user may be served personally."""
        return user_id not in self.withheld

    async def unpersonalised(self, mark: str) -> Unpersonalised | None:
        """Returns them, or raises."""
        if self.error is not None:
            raise self.error
        found = Unpersonalised(frozenset(self.withheld), f"of {sorted(self.withheld)}")
        return None if found.mark == mark else found
