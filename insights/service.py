"""Takes outcomes, and answers how well algorithms do."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from feed.insights.v1 import outcomes_pb2 as pb
from insights.domain.funnel import NOTHING_SERVED, Funnel, Split, Window, in_order, whole_trends
from insights.domain.ledger import COUNTS_FOR, Claim, Verdict
from insights.domain.outcome import Outcome, deed
from insights.ports import Answers, Ledger, LedgerUnavailableError
from runtime.access.rules import acting_user, refusal
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
# The days of a window, and the most that one may have.
_DAYS: Final = 30
_MOST_DAYS: Final = 90
# More lines than this nobody tells apart.
_MOST_TRENDS: Final = 20
# No database takes one in a text.
_NUL: Final = "\0"
# Proto3 lets a time be before the year 1; a date cannot.
_EARLIEST_S: Final = datetime(1970, 1, 1, tzinfo=UTC).timestamp()
_LATEST_S: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()

_SPLITS: Final = {pb.SplitBy.Value(split.name): split for split in Split}
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
        _require_text(request.algorithm)
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

    async def get_funnel(self, request: pb.GetFunnelRequest) -> pb.GetFunnelResponse:
        """Returns how far what was served came; raises as `get_acceptance_rate`."""
        require_valid(request)
        _require_text(request.algorithm)
        window, split = self._window(request), _SPLITS.get(request.split_by)
        try:
            total = await self._answers.funnel(window, request.algorithm, None)
            parts = await self._answers.funnel(window, request.algorithm, split) if split else {}
        except LedgerUnavailableError as error:
            raise _unavailable() from error
        return pb.GetFunnelResponse(
            total=_funnel(total.get("", NOTHING_SERVED)),
            parts=[
                pb.FunnelPart(name=name, funnel=_funnel(parts[name]))
                for name in (in_order(split, parts) if split else ())
            ],
        )

    async def get_trends(self, request: pb.GetTrendsRequest) -> pb.GetTrendsResponse:
        """Returns the same of each day; raises as `get_acceptance_rate`."""
        require_valid(request)
        _require_text(request.algorithm)
        window, split = self._window(request), _SPLITS.get(request.split_by)
        try:
            found = whole_trends(split, window, await self._answers.trends(window, request.algorithm, split))
        except LedgerUnavailableError as error:
            raise _unavailable() from error
        told = found[:_MOST_TRENDS]
        return pb.GetTrendsResponse(
            trends=[_trend(name, window, funnels) for name, funnels in told], left_out=len(found) - len(told)
        )

    def _since(self, given: Timestamp | None) -> date:
        return (self._now() - _SINCE).astimezone(UTC).date() if given is None else _day("since", given)

    def _window(self, request: pb.GetFunnelRequest | pb.GetTrendsRequest) -> Window:
        until = _day("until", request.until) if request.HasField("until") else self._now().astimezone(UTC).date()
        since = _day("since", request.since) if request.HasField("since") else until - timedelta(days=_DAYS - 1)
        if not timedelta() <= until - since < timedelta(days=_MOST_DAYS):
            raise InvalidArgumentError([Violation("since", f"must be 0 to {_MOST_DAYS - 1} days before until")])
        return Window(since, until)


def _require_text(algorithm: str) -> None:
    if _NUL in algorithm:
        raise InvalidArgumentError([Violation("algorithm", "must not hold a NUL")])


def _day(name: str, given: Timestamp) -> date:
    if not _EARLIEST_S <= given.seconds < _LATEST_S:
        raise InvalidArgumentError([Violation(name, "must be from 1970 to 9998")])
    return datetime.fromtimestamp(given.seconds, UTC).date()


def _trend(name: str, window: Window, funnels: Sequence[Funnel]) -> pb.Trend:
    days = zip(window, funnels, strict=True)
    return pb.Trend(name=name, days=[pb.DayFunnel(day=day.isoformat(), funnel=_funnel(each)) for day, each in days])


def _funnel(funnel: Funnel) -> pb.Funnel:
    return pb.Funnel(
        pages=funnel.pages,
        served=funnel.served,
        consumed=funnel.consumed,
        added=funnel.added,
        rated=funnel.rated,
        pending=funnel.pending,
        accepted=funnel.accepted,
        acceptance_rate=funnel.acceptance_rate,
        watch_time_per_page_s=funnel.watch_time_per_page_s,
        success_rate=funnel.success_rate,
        confidence_match=funnel.confidence_match,
    )


def _unavailable() -> UnavailableError:
    return UnavailableError("UNAVAILABLE", "the database cannot be used now", retry_after_s=1.0)
