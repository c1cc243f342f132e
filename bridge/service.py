"""The story of one request: from its arrival to the page, whatever the scorers do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from bridge import wire
from bridge.domain import cursor as tokens
from bridge.domain.deadline import DeadlinePolicy, attempt_timeout_s, deadline
from bridge.domain.filters import keeper
from bridge.domain.ladder import Skip, climb
from bridge.domain.outcome import REASONS, VERDICTS, FallbackReason, Outcome, Source
from bridge.domain.page import Page, Ranking, cut, tidy, without
from bridge.domain.retry import Failure, GiveUp, RetryBudget, RetryPolicy, after_failure
from bridge.pool import Lease, ScorerPool
from bridge.ports import Chance, Clock, FallbackLists, ScorerError
from bridge.telemetry import AttemptMade, Observer, PageServed
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2
from runtime.contract import CONTRACT_RELEASE
from runtime.errors import InvalidArgumentError, Violation

_LOG = structlog.get_logger(__name__)

DEFAULT_PAGE_SIZE: Final = 20

Request = recommendations_pb2.GetRecommendationsRequest
Response = recommendations_pb2.GetRecommendationsResponse


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """The limits of the service.

    Args:
        deadline: The time limits.
        retry: How failed attempts are repeated.
        retries: The retry budget of the process.
        candidates: How many videos a scorer is asked for: the first page and those that its token carries.
        max_in_flight: Requests at a time that may ask a scorer; those beyond are served from the ladder.
        token_ttl_s: How long a page token holds, in seconds.
        token_key: The secret that signs page tokens.
    """

    deadline: DeadlinePolicy
    retry: RetryPolicy
    candidates: int
    max_in_flight: int
    token_ttl_s: int
    token_key: bytes


@dataclass(slots=True)
class Progress:
    """What has happened to a request so far; kept apart, so that it is known even when ranking breaks off."""

    arrival: float
    until: float
    tried: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A ranking and where it came from.

    Args:
        ranking: The videos still to be served.
        source: Who ranked.
        reason: Why it was not the model.
        algorithm: What ranked.
        model_version: The model, or empty.
        position: Place in the session of the last video served before.
        feed_session_id: The session.
        continued: Whether it was ranked for an earlier page.
        rung: The ladder's rung, or empty.
        skipped: The rungs passed over.
    """

    ranking: Ranking
    source: Source
    reason: FallbackReason
    algorithm: str
    model_version: str
    position: int
    feed_session_id: str
    continued: bool = False
    rung: str = ""
    skipped: tuple[tuple[str, Skip], ...] = ()


class RecommendationService:
    """Answers feed requests.

    Args:
        policy: The limits.
        pool: The scorers.
        lists: What serves when they do not.
        budget: The retry budget of the process.
        clock: Time.
        chance: Randomness.
        observer: Who is told of pages and attempts.
    """

    def __init__(
        self,
        policy: ServicePolicy,
        pool: ScorerPool,
        lists: FallbackLists,
        budget: RetryBudget,
        clock: Clock,
        chance: Chance,
        observer: Observer,
    ) -> None:
        self._policy = policy
        self._pool = pool
        self._lists = lists
        self._budget = budget
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._in_flight

    async def get_recommendations(self, request: Request, caller_remaining_s: float | None = None) -> Response:
        """Answers a valid request with a page, in time.

        Args:
            request: The request, already checked against the contract's rules.
            caller_remaining_s: What the caller has left, in seconds; None when it set no deadline.

        Raises:
            InvalidArgumentError: When the page token is refused.
        """
        arrival = self._clock.monotonic()
        progress = Progress(arrival, deadline(self._policy.deadline, arrival, caller_remaining_s))
        self._in_flight += 1
        try:
            ranked = self._continued(request) if request.page_token else await self._fresh(request, progress)
        finally:
            self._in_flight -= 1
        return self._answer(request, ranked, progress)

    def _continued(self, request: Request) -> Ranked:
        """Goes on with the ranking that the token pins: no scorer, no other source, no repeat."""
        try:
            cursor = tokens.open_token(request.page_token, self._policy.token_key, self._clock.wall())
            tokens.require_same(
                cursor,
                user_id=request.user_id,
                feed_session_id=request.feed_session_id,
                arguments=wire.arguments_digest(request),
            )
        except tokens.CursorError as error:
            raise InvalidArgumentError([Violation("pageToken", error.refusal.value)]) from error
        return Ranked(
            without(Ranking(cursor.video_ids, cursor.scores_to_come()), wire.excluded(request)),
            cursor.source,
            cursor.fallback_reason,
            cursor.algorithm,
            cursor.model_version,
            cursor.position,
            cursor.feed_session_id,
            continued=True,
        )

    async def _fresh(self, request: Request, progress: Progress) -> Ranked:
        """Ranks anew: by a scorer, or else by the ladder."""
        session = request.feed_session_id or self._chance.new_id()
        try:
            answer = await self._ask_scorers(request, progress)
        except Exception:  # noqa: BLE001  # a bug must cost the caller the personal page, not the page
            _LOG.exception("bridge.ranking_failed")
            answer = FallbackReason.UNAVAILABLE
        if isinstance(answer, FallbackReason):
            return self._fallen_back(request, answer, session)
        response, ranking = answer
        ranking = without(ranking, wire.excluded(request))
        if not ranking.video_ids:
            return self._fallen_back(request, FallbackReason.EMPTY_RANKING, session)
        return Ranked(
            ranking, Source.LIGHTFM, FallbackReason.NONE, response.algorithm, response.model_version, 0, session
        )

    async def _ask_scorers(
        self, request: Request, progress: Progress
    ) -> tuple[scoring_pb2.RankResponse, Ranking] | FallbackReason:
        """Retry(Breaker(attempt)): asks scorers until one answers or it is time to stop."""
        if self._in_flight > self._policy.max_in_flight:
            return FallbackReason.OVERLOAD
        self._budget.earn(progress.arrival)
        asked = wire.rank_request(request, max(self._policy.candidates, request.page_size))
        reason: FallbackReason | None = None
        while True:
            now = self._clock.monotonic()
            timeout_s = attempt_timeout_s(self._policy.deadline, now, progress.until)
            if timeout_s is None:
                return reason or FallbackReason.DEADLINE
            lease = self._pool.acquire(progress.tried, now, self._chance.jitter())
            if lease is None:
                return reason or FallbackReason.CIRCUIT_OPEN
            answer = await self._attempt(lease, asked, timeout_s, progress)
            if not isinstance(answer, Failure):
                return answer
            stop = await self._stops(answer, progress)
            if stop:
                return stop
            reason = REASONS[answer.outcome]

    async def _attempt(
        self, lease: Lease, asked: scoring_pb2.RankRequest, timeout_s: float, progress: Progress
    ) -> tuple[scoring_pb2.RankResponse, Ranking] | Failure:
        """Calls one scorer once; its breaker learns how it went, whatever happens."""
        target = lease.member.scorer.target
        progress.tried.append(target)
        outcome = Outcome.CANCELLED
        try:
            response = await lease.member.scorer.rank(asked, timeout_s)
            ranking = tidy(response.video_ids, response.scores)
            outcome = Outcome.INTERNAL if ranking is None else Outcome.OK
            return Failure(outcome) if ranking is None else (response, ranking)
        except ScorerError as error:
            outcome = error.failure.outcome
            return error.failure
        except Exception:
            outcome = Outcome.INTERNAL
            raise
        finally:
            now = self._clock.monotonic()
            self._pool.release(lease, VERDICTS[outcome], now, self._chance.jitter())
            elapsed_s = now - lease.permit.start
            self._observer.attempt_made(AttemptMade(target, len(progress.tried), outcome, elapsed_s))

    async def _stops(self, failure: Failure, progress: Progress) -> FallbackReason | None:
        """Decides about another attempt: returns why there is none, or waits out the backoff and returns None."""
        untried_left = self._pool.untried_left(progress.tried)
        step = after_failure(
            self._policy.retry,
            failure,
            len(progress.tried),
            jitter=self._chance.jitter(),
            untried_left=untried_left,
        )
        if isinstance(step, GiveUp):
            return step.reason
        if attempt_timeout_s(self._policy.deadline, self._clock.monotonic() + step.wait_s, progress.until) is None:
            return REASONS[failure.outcome]
        if step.charged and not self._budget.take():
            return FallbackReason.RETRY_BUDGET
        if step.wait_s > 0:
            await self._clock.sleep(step.wait_s)
        return None

    def _fallen_back(self, request: Request, reason: FallbackReason, session: str) -> Ranked:
        """Climbs the ladder; all of it is in memory."""
        rungs = self._lists.rungs(request.context.country)
        keep = keeper(wire.conditions(request), self._lists.facts)
        page_size = request.page_size or DEFAULT_PAGE_SIZE
        choice = climb(rungs, keep, page_size, self._policy.candidates)
        rung = choice.rung
        return Ranked(
            Ranking(rung.video_ids, rung.scores),
            rung.source,
            reason,
            rung.algorithm,
            "",
            0,
            session,
            rung=rung.name,
            skipped=choice.skipped,
        )

    def _answer(self, request: Request, ranked: Ranked, progress: Progress) -> Response:
        page = cut(ranked.ranking, request.page_size or DEFAULT_PAGE_SIZE, ranked.position + 1)
        response = Response(
            next_page_token=self._next_token(request, ranked, page),
            algorithm=ranked.algorithm,
            source=wire.SOURCES[ranked.source],
            fallback_reason=wire.REASONS[ranked.reason],
            model_version=ranked.model_version,
            feed_session_id=ranked.feed_session_id,
            recommendation_id=self._chance.new_id(),
            attempts=len(progress.tried),
            contract_version=CONTRACT_RELEASE,
        )
        _fill(response, page, explain=request.explain)
        now = self._clock.monotonic()
        response.budget_left_ms = max(0, int((progress.until - now) * 1000))
        self._observer.page_served(
            PageServed(
                request.user_id,
                response,
                ranked.source,
                ranked.reason,
                ranked.continued,
                ranked.rung,
                ranked.skipped,
                len(progress.tried),
                now - progress.arrival,
                progress.until - now,
            )
        )
        return response

    def _next_token(self, request: Request, ranked: Ranked, page: Page) -> str:
        if not page.rest.video_ids:
            return ""
        issued = int(self._clock.wall())
        cursor = tokens.Cursor(
            feed_session_id=ranked.feed_session_id,
            user_id=request.user_id,
            source=ranked.source,
            fallback_reason=ranked.reason,
            algorithm=ranked.algorithm,
            model_version=ranked.model_version,
            arguments=wire.arguments_digest(request),
            issued=issued,
            expiry=issued + self._policy.token_ttl_s,
            position=ranked.position + len(page.video_ids),
            video_ids=list(page.rest.video_ids),
            scores=tokens.pack_scores(page.rest.scores),
        )
        return tokens.seal(cursor, self._policy.token_key)


def _fill(response: Response, page: Page, *, explain: bool) -> None:
    pairs: Sequence[tuple[str, float]] = list(zip(page.video_ids, page.scores, strict=True))
    for position, (video_id, score) in enumerate(pairs, start=page.first_position):
        item = response.recommendations.add(video_id=video_id, score=score, position=position)
        if explain:
            item.reasons.add(component=response.algorithm, value=score)
