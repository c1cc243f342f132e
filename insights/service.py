"""Takes outcomes, and answers how well algorithms do."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from feed.insights.v1 import outcomes_pb2 as pb
from insights.domain.ledger import COUNTS_FOR, Claim, Verdict
from insights.domain.outcome import Outcome, deed
from insights.ports import Answers, Ledger, LedgerUnavailableError
from runtime.access import acting_user, refusal
from runtime.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    Violation,
)
from runtime.validation import require_valid

# What is told when nobody says since when.
_SINCE: Final = timedelta(days=30)
# No database takes one in a text.
_NUL: Final = "\0"
# Proto3 lets a time be before the year 1; a date cannot.
_EARLIEST_S: Final = datetime(1970, 1, 1, tzinfo=UTC).timestamp()
_LATEST_S: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()

_OUTCOMES: Final = {pb.UserAction.Value(outcome.name): outcome for outcome in Outcome if outcome is not Outcome.PENDING}


class OutcomeService:
    """The contract's OutcomeService.

    Args:
        ledger: Where outcomes go.
        answers: What it says.
        now: The wall time.
    """

    def __init__(self, ledger: Ledger, answers: Answers, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._answers = answers
        self._now = now

    async def track_outcome(self, request: pb.TrackOutcomeRequest) -> pb.TrackOutcomeResponse:
        """Puts an outcome on the ledger; of a page that is not known yet, as soon as it is.

        Raises:
            InvalidArgumentError: A field breaks a rule.
            NotFoundError: The video was not on the page.
            PermissionDeniedError: It was not on a page of the user who says so.
            FailedPreconditionError: It was served too long ago.
            UnavailableError: The database cannot be used now.
        """
        require_valid(request)
        rated = request.HasField("user_rating")
        if rated and request.action != pb.RATED:
            raise InvalidArgumentError([Violation("userRating", "only with RATED")])
        now = self._now()
        deeds = deed(_OUTCOMES[request.action], request.user_rating if rated else None, now)
        # A service speaks for all users, a user for himself: the ledger knows whose the page was.
        claim = Claim(acting_user(), request.video_id, request.recommendation_log_id, "", "", deeds, now, now)
        try:
            verdict = await self._ledger.track(claim)
        except LedgerUnavailableError as error:
            raise _unavailable() from error
        if verdict is Verdict.FOREIGN:
            if acting_user():
                raise refusal()
            raise NotFoundError("NOT_FOUND", "videoId: was not on this page")
        if verdict is Verdict.LATE:
            raise FailedPreconditionError("TOO_LATE", f"served more than {COUNTS_FOR.days} days ago")
        return pb.TrackOutcomeResponse(created=verdict is not Verdict.REPEATED)

    async def get_acceptance_rate(self, request: pb.GetAcceptanceRateRequest) -> pb.GetAcceptanceRateResponse:
        """Returns which share of served videos was accepted.

        Raises:
            InvalidArgumentError: A field breaks a rule.
            UnavailableError: The database cannot be used now.
        """
        require_valid(request)
        if _NUL in request.algorithm:
            raise InvalidArgumentError([Violation("algorithm", "must not hold a NUL")])
        since = self._since(request.since if request.HasField("since") else None)
        try:
            found = await self._answers.acceptance(since, user_id=request.user_id, algorithm=request.algorithm)
        except LedgerUnavailableError as error:
            raise _unavailable() from error
        return pb.GetAcceptanceRateResponse(served=found.served, accepted=found.accepted, rate=found.rate)

    async def get_algorithm_performance(
        self, request: pb.GetAlgorithmPerformanceRequest
    ) -> pb.GetAlgorithmPerformanceResponse:
        """Returns the figures of each algorithm; raises as `get_acceptance_rate`."""
        require_valid(request)
        since = self._since(request.since if request.HasField("since") else None)
        try:
            found = await self._answers.performance(since)
        except LedgerUnavailableError as error:
            raise _unavailable() from error
        return pb.GetAlgorithmPerformanceResponse(
            algorithms=[
                pb.AlgorithmPerformance(
                    algorithm=each.algorithm,
                    served=each.acceptance.served,
                    consumed=each.ever_consumed,
                    added=each.ever_added,
                    rated=each.ever_rated,
                    acceptance_rate=each.acceptance.rate,
                )
                for each in found
            ]
        )

    def _since(self, given: Timestamp | None) -> date:
        if given is None:
            return (self._now() - _SINCE).astimezone(UTC).date()
        if not _EARLIEST_S <= given.seconds < _LATEST_S:
            raise InvalidArgumentError([Violation("since", "must be from 1970 to 9998")])
        return datetime.fromtimestamp(given.seconds, UTC).date()


def _unavailable() -> UnavailableError:
    return UnavailableError("UNAVAILABLE", "the database cannot be used now", retry_after_s=1.0)
