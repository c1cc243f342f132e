"""The story of one request: from its arrival to the page, whatever the scorers do."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import structlog

from bridge import wire
from bridge.admission import Admission, Entry
from bridge.attempts import Answered, Attempts, Progress
from bridge.domain import cursor as tokens
from bridge.domain.deadline import DeadlinePolicy, deadline
from bridge.domain.ladder import Skip, choose
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.page import Page, Ranking, cut, join_ids, pack_scores, without
from bridge.ports import Chance, Clock, FallbackLists
from bridge.recent import NothingRecent, Recent
from bridge.telemetry import Observer, PageServed, StageTimes
from feed.recommendations.v1 import recommendations_pb2
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
        token_ttl_s: How long a page token holds, in seconds.
        token_key: The secret that signs page tokens.
    """

    deadline: DeadlinePolicy
    candidates: int
    token_ttl_s: int
    token_key: bytes


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
        attempts: What asks the scorers.
        lists: What serves when they do not.
        admission: Says who is served by whom, and who is not.
        clock: Time.
        chance: Randomness.
        observer: Who is told of pages.
        recent: Knows what users did of late.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what a page is made of, each by its name
        self,
        policy: ServicePolicy,
        attempts: Attempts,
        lists: FallbackLists,
        admission: Admission,
        clock: Clock,
        chance: Chance,
        observer: Observer,
        recent: Recent | None = None,
    ) -> None:
        self._policy = policy
        self._attempts = attempts
        self._lists = lists
        self._admission = admission
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._recent = NothingRecent() if recent is None else recent
        self._in_flight = 0
        # The fallback lists are tuples and the same for everybody: their pages are made once, then copied.
        self._items = lru_cache(maxsize=256)(wire.items)

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._in_flight

    async def get_recommendations(self, request: Request, caller_remaining_s: float | None = None) -> Response:
        """Answers a valid request with a page, in time.

        Args:
            request: The request, already checked against the contract's rules; what the user did of late is added.
            caller_remaining_s: What the caller has left, in seconds; None when it set no deadline.

        Raises:
            InvalidArgumentError: When the page token is refused.
            ResourceExhaustedError: When there are more requests than can be answered in time.
        """
        now = self._clock.monotonic()
        entry = self._admission.enter(now, self._in_flight)
        until = deadline(self._policy.deadline, now, caller_remaining_s, entry.waited_s)
        progress = Progress(now - entry.waited_s, until, queue_s=entry.waited_s)
        self._recent.complete(request)
        self._in_flight += 1
        try:
            ranked = self._continued(request) if request.page_token else await self._fresh(request, progress, entry)
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
            without(cursor.to_come(), wire.excluded(request)),
            cursor.source,
            cursor.fallback_reason,
            cursor.algorithm,
            cursor.model_version,
            cursor.position,
            cursor.feed_session_id,
            continued=True,
        )

    async def _fresh(self, request: Request, progress: Progress, entry: Entry) -> Ranked:
        """Ranks anew: by a scorer, or else by the ladder."""
        session = request.feed_session_id or self._chance.new_id()
        try:
            answer = await self._ask_scorers(request, progress, entry)
        except Exception:  # noqa: BLE001  # a bug must cost the caller the personal page, not the page
            _LOG.exception("bridge.ranking_failed")
            answer = FallbackReason.UNAVAILABLE
        if isinstance(answer, FallbackReason):
            return await self._fallen_back(request, answer, session, progress)
        response, ranking = answer
        self._recent.trained_until(response.data_until_ms / 1000)
        ranking = without(ranking, wire.excluded(request))
        if not ranking.video_ids:
            return await self._fallen_back(request, FallbackReason.EMPTY_RANKING, session, progress)
        return Ranked(
            ranking, Source.LIGHTFM, FallbackReason.NONE, response.algorithm, response.model_version, 0, session
        )

    async def _ask_scorers(self, request: Request, progress: Progress, entry: Entry) -> Answered | FallbackReason:
        if not self._admission.may_ask(entry):
            return FallbackReason.OVERLOAD
        start = self._clock.monotonic()
        answer: Answered | FallbackReason | None = None
        try:
            asked = wire.rank_request(request, max(self._policy.candidates, request.page_size))
            answer = await self._attempts.ask(asked, progress)
            return answer
        finally:
            self._admission.asked(start, answer)

    async def _fallen_back(self, request: Request, reason: FallbackReason, session: str, progress: Progress) -> Ranked:
        """Climbs the ladder."""
        start = self._clock.monotonic()
        asked = wire.conditions(request)
        steps = await self._lists.ladder(
            request.user_id, request.context.country, asked, reason, progress.until - start
        )
        page_size = request.page_size or DEFAULT_PAGE_SIZE
        choice = choose(steps, asked, page_size, self._policy.candidates)
        rung = choice.rung
        progress.fallback_s = self._clock.monotonic() - start
        return Ranked(
            Ranking(rung.video_ids, rung.scores),
            rung.source,
            reason,
            rung.algorithm,
            rung.model_version,
            0,
            session,
            rung=rung.name,
            skipped=choice.skipped,
        )

    def _answer(self, request: Request, ranked: Ranked, progress: Progress) -> Response:
        start = self._clock.monotonic()
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
        self._add_items(response, page, explain=request.explain)
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
                StageTimes(progress.scorer_s, progress.backoff_s, progress.fallback_s, now - start, progress.queue_s),
            )
        )
        return response

    def _add_items(self, response: Response, page: Page, *, explain: bool) -> None:
        if isinstance(page.video_ids, tuple) and isinstance(page.scores, tuple) and not explain:
            response.MergeFromString(self._items(page.video_ids, page.scores, page.first_position))
        else:
            wire.add_items(response, page, explain=explain)

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
            video_ids=join_ids(page.rest.video_ids),
            scores=pack_scores(page.rest.scores),
        )
        return tokens.seal(cursor, self._policy.token_key)
