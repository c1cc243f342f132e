"""What the bridge tells of its work: one frozen record for each page, attempt and breaker transition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from bridge.domain.breaker import State
from bridge.domain.ladder import Skip
from bridge.domain.outcome import FallbackReason, Outcome, Source
from feed.recommendations.v1 import recommendations_pb2

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PageServed:
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


@dataclass(frozen=True, slots=True)
class AttemptMade:
    """One ended call to a scorer.

    Args:
        target: The scorer.
        attempt: Its number within the request, from 1.
        outcome: How it ended.
        elapsed_s: How long it took, in seconds.
    """

    target: str
    attempt: int
    outcome: Outcome
    elapsed_s: float


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
        name: The list: `trending` or `editorial`.
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

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Takes a transition."""

    def list_failed(self, record: ListFailed) -> None:
        """Takes a trouble with a fallback list."""


class Observers:
    """Tells several observers; one that fails is logged and fails neither the page nor the others."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def page_served(self, record: PageServed) -> None:
        """Takes a finished page."""
        self._tell(lambda observer: observer.page_served(record))

    def attempt_made(self, record: AttemptMade) -> None:
        """Takes an ended attempt."""
        self._tell(lambda observer: observer.attempt_made(record))

    def breaker_moved(self, record: BreakerMoved) -> None:
        """Takes a transition."""
        self._tell(lambda observer: observer.breaker_moved(record))

    def list_failed(self, record: ListFailed) -> None:
        """Takes a trouble with a fallback list."""
        self._tell(lambda observer: observer.list_failed(record))

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                tell(observer)
            except Exception:  # noqa: BLE001  # whatever it is, the page is more important
                _LOG.exception("bridge.observer_failed", observer=type(observer).__name__)
