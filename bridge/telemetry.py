"""What the bridge tells of its work: one frozen record for each page, attempt, batch and breaker transition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog

from bridge.domain.breaker import State
from bridge.domain.ladder import Skip
from bridge.domain.outcome import FallbackReason, Outcome, Source
from bridge.domain.page import Page, Ranking
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2

_LOG = structlog.get_logger(__name__)

RecordT = TypeVar("RecordT")


class StageTimes(msgspec.Struct, frozen=True, gc=False):
    """What a request's time went into, in seconds; 0 where a stage did not happen.

    Args:
        scorer: Waiting for scorers, all attempts together.
        backoff: Waiting between two attempts.
        fallback: Climbing the ladder, the read of the user's own list included.
        answer: Cutting the page, its token and the message.
        queue: Waiting before anything was done.
    """

    scorer: float = 0.0
    backoff: float = 0.0
    fallback: float = 0.0
    answer: float = 0.0
    queue: float = 0.0


NO_STAGES: Final = StageTimes()

_Request = recommendations_pb2.GetRecommendationsRequest
_NO_PAGE: Final = Page((), (), 1, Ranking((), ()))


class PageServed(msgspec.Struct, frozen=True, gc=False):
    """One answered request.

    Args:
        user_id: Whose page it is.
        response: The page as it was answered.
        source: Where its ranking came from.
        fallback_reason: Why it is not the model's.
        continued: Whether it is a further page of a ranking made earlier.
        rung: Name of the ladder's rung that served; empty when the model did, or on a further page.
        skipped: The rungs passed over, each with why.
        attempts: Calls made to scorers.
        elapsed_s: Time from arrival to the finished page, in seconds.
        budget_left_s: What was left of the request's time, in seconds; negative when it was late.
        stages: What the time went into.
        request: What was asked.
        page: Its videos and scores.
        answer: What a scorer answered for it; None: no scorer ranked, or for an earlier page.
        experiments: The experiments that it counts for, each with its variant.
        withheld: Whether nothing of it is stored: its user does not want to be known.
    """

    user_id: str
    response: recommendations_pb2.GetRecommendationsResponse
    source: Source
    fallback_reason: FallbackReason
    continued: bool
    rung: str
    skipped: tuple[tuple[str, Skip], ...]
    attempts: int
    elapsed_s: float
    budget_left_s: float
    stages: StageTimes = NO_STAGES
    request: recommendations_pb2.GetRecommendationsRequest = msgspec.field(default_factory=_Request)
    page: Page = _NO_PAGE
    answer: scoring_pb2.RankResponse | None = None
    experiments: tuple[tuple[str, str], ...] = ()
    withheld: bool = False

    @property
    def fell_back(self) -> bool:
        """Whether a fresh ranking was wanted of the model and another one served."""
        return not self.continued and self.fallback_reason is not FallbackReason.NONE


class AttemptMade(msgspec.Struct, frozen=True, gc=False):
    """One ended call to a scorer.

    Args:
        target: The scorer.
        attempt: Its number within the request, from 1.
        outcome: How it ended.
        elapsed_s: How long it took, in seconds.
        hedge: Whether it was sent beside an attempt that had not failed.
    """

    target: str
    attempt: int
    outcome: Outcome
    elapsed_s: float
    hedge: bool = False


class BatchSent(msgspec.Struct, frozen=True, gc=False):
    """One call that ranks for several requests.

    Args:
        target: The scorer.
        users: For how many requests.
        waited_s: How long the first of them waited for the others, in seconds.
    """

    target: str
    users: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A request that got no page, because even the ladder was too much.

    Args:
        retry_after_s: When the caller may come back, in seconds.
    """

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    """One transition of a scorer's breaker."""

    target: str
    old: State
    new: State


class ListTrouble(StrEnum):
    """What went wrong with a fallback list."""

    UNREADABLE = "unreadable"
    UNWRITABLE = "unwritable"
    NOT_REFRESHED = "not_refreshed"


@dataclass(frozen=True, slots=True)
class ListFailed:
    """A fallback list could not be read, written or refreshed; the last good one goes on serving.

    Args:
        name: The list: `trending`, `editorial` or `newcomers`.
        trouble: What went wrong.
    """

    name: str
    trouble: ListTrouble


class Observer(Protocol):
    """Somebody who wants to know. It must be quick and must not wait: it is called on the request's path."""

    def page_served(self, record: PageServed) -> None:
        """Takes a finished page."""

    def attempt_made(self, record: AttemptMade) -> None:
        """Takes an ended attempt."""

    def batch_sent(self, record: BatchSent) -> None:
        """Takes a call for several requests."""

    def request_refused(self, record: RequestRefused) -> None:
        """Takes a refusal."""

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Takes a transition."""

    def list_failed(self, record: ListFailed) -> None:
        """Takes a trouble with a fallback list."""


class NullObserver:
    """An observer that takes nothing; one that wants to know a part overrides that part."""

    def page_served(self, record: PageServed) -> None:
        """Takes no page."""

    def attempt_made(self, record: AttemptMade) -> None:
        """Takes no attempt."""

    def batch_sent(self, record: BatchSent) -> None:
        """Takes no batch."""

    def request_refused(self, record: RequestRefused) -> None:
        """Takes no refusal."""

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Takes no transition."""

    def list_failed(self, record: ListFailed) -> None:
        """Takes no trouble."""


class Observers:
    """Tells several observers; one that fails is logged and fails neither the page nor the others."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._page_served = _takers(observers, "page_served")
        self._attempt_made = _takers(observers, "attempt_made")
        self._batch_sent = _takers(observers, "batch_sent")
        self._request_refused = _takers(observers, "request_refused")
        self._breaker_moved = _takers(observers, "breaker_moved")
        self._list_failed = _takers(observers, "list_failed")

    def page_served(self, record: PageServed) -> None:
        """Takes a finished page."""
        _tell(self._page_served, record)

    def attempt_made(self, record: AttemptMade) -> None:
        """Takes an ended attempt."""
        _tell(self._attempt_made, record)

    def batch_sent(self, record: BatchSent) -> None:
        """Takes a call for several requests."""
        _tell(self._batch_sent, record)

    def request_refused(self, record: RequestRefused) -> None:
        """Takes a refusal."""
        _tell(self._request_refused, record)

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Takes a transition."""
        _tell(self._breaker_moved, record)

    def list_failed(self, record: ListFailed) -> None:
        """Takes a trouble with a fallback list."""
        _tell(self._list_failed, record)


def _takers(observers: Sequence[Observer], name: str) -> tuple[Callable[[Any], None], ...]:
    """Returns the methods of that name, without those that take nothing."""
    nothing = getattr(NullObserver, name)
    return tuple(getattr(each, name) for each in observers if getattr(type(each), name) is not nothing)


def _tell(takers: tuple[Callable[[RecordT], None], ...], record: RecordT) -> None:
    for take in takers:
        try:
            take(record)
        except Exception:  # noqa: BLE001  # whatever it is, the page is more important
            _LOG.exception("bridge.observer_failed", observer=getattr(take, "__qualname__", repr(take)))
