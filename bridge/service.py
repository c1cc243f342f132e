"""The story of one request: from its arrival to the page, whatever the scorers do."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from bridge import wire
from bridge.admission import Admission, Entry
from bridge.attempts import Answered, Attempts, Progress
from bridge.domain.corrections import Corrections
from bridge.domain.deadline import DeadlinePolicy, deadline
from bridge.domain.exploration import explore, lots
from bridge.domain.filters import Conditions, keeper
from bridge.domain.history import among
from bridge.domain.ladder import Rung, Skip, choose
from bridge.domain.lists import Viewer
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.page import Page, Ranking, cut, without
from bridge.domain.shown import shown_of, unshown
from bridge.explain import Explainer
from bridge.knowledge import Knowledge
from bridge.ports import Chance, Clock, FallbackLists
from bridge.sessions import Origin, Session, Sessions
from bridge.telemetry import Observer, PageServed, StageTimes
from bridge.wire import Reasons
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2
from runtime.contract import CONTRACT_RELEASE
from runtime.experiments import RankedBy
from runtime.served_token import make_tokens

_LOG = structlog.get_logger(__name__)

_BEST_FIRST: Final = tuple(Source)
_PERSONAL: Final = (Source.LIGHTFM, Source.PRECOMPUTED)

Request = recommendations_pb2.GetRecommendationsRequest
Response = recommendations_pb2.GetRecommendationsResponse


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """The limits of the service.

    Args:
        deadline: The time limits.
        token_ttl_s: How long a page token holds, in seconds.
        token_keys: Returns the secrets that sign page tokens and what proves that a video was served, the one to sign
            with first.
        proves_served: Whether each video carries such a proof.
        exploration: Share of the places of trending pages that go to new videos, 0 to 0.5; 0: none.
    """

    deadline: DeadlinePolicy
    token_ttl_s: int
    token_keys: Callable[[], Sequence[bytes]]
    proves_served: bool = True
    exploration: float = 0.0


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """A ranking and where it came from.

    Args:
        ranking: The videos still to be served.
        origin: Who ranked.
        continued: Whether it was ranked for an earlier page.
        rung: The ladder's rung, or empty.
        skipped: The rungs passed over.
        answer: What the scorer answered; None: no scorer did, or for an earlier page.
        more: Whether there may be videos beyond it.
    """

    ranking: Ranking
    origin: Origin
    continued: bool = False
    rung: str = ""
    skipped: tuple[tuple[str, Skip], ...] = ()
    answer: scoring_pb2.RankResponse | None = None
    more: bool = True


class RecommendationService:
    """Answers feed requests.

    Args:
        policy: The limits.
        knowledge: Knows the users.
        explainer: Says why a video is on a page.
        attempts: What asks the scorers.
        lists: What serves when they do not.
        admission: Says who is served by whom, and who is not.
        clock: Time.
        chance: Randomness.
        observer: Who is told of pages.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what a page is made of, each by its name
        self,
        policy: ServicePolicy,
        knowledge: Knowledge,
        explainer: Explainer,
        attempts: Attempts,
        lists: FallbackLists,
        admission: Admission,
        clock: Clock,
        chance: Chance,
        observer: Observer,
    ) -> None:
        self._policy = policy
        self._knowledge = knowledge
        self._explainer = explainer
        self._attempts = attempts
        self._lists = lists
        self._admission = admission
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._sessions = Sessions(policy.token_keys, policy.token_ttl_s, clock, chance)
        self._in_flight = 0

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
        self._knowledge.complete(request)
        self._in_flight += 1
        try:
            session = self._session(request)
            ranked = await self._ranked(request, session, progress, entry)
            page = cut(ranked.ranking, wire.page_size_of(request), session.position + 1)
            reasons = await self._reasons(request, session, ranked, page, progress) if request.explain else ()
        finally:
            self._in_flight -= 1
        return self._answer(request, session, ranked, page, reasons, progress)

    def _session(self, request: Request) -> Session:
        blocks = self._knowledge.corrections(request.user_id).block_marks
        session = self._sessions.of(request, blocks, self._knowledge.treatment(request))
        pinned = session.pinned
        if pinned is not None and pinned.source in _PERSONAL and not self._knowledge.personalised(request.user_id):
            return msgspec.structs.replace(session, pinned=None)
        return session

    async def _ranked(self, request: Request, session: Session, progress: Progress, entry: Entry) -> Ranked:
        """Goes on with what the token pins; ranks anew at the start, and where that has run out.

        A page comes whole out of one ranking, so that its source is true for each of its videos. What is left of a
        ranking is served, short as it is, before a worse source goes on.
        """
        pinned = self._pinned(request, session)
        page_size = wire.page_size_of(request)
        left = 0 if pinned is None else len(pinned.ranking.video_ids)
        if pinned is not None and left >= page_size:
            return pinned
        anew = await self._anew(request, session, progress, entry)
        if pinned is None or not left:
            return anew
        is_worse = _BEST_FIRST.index(anew.origin.source) > _BEST_FIRST.index(pinned.origin.source)
        if not is_worse and left < len(anew.ranking.video_ids):
            return anew
        adds = not set(pinned.ranking.video_ids).issuperset(anew.ranking.video_ids)
        return msgspec.structs.replace(pinned, more=anew.more or adds)

    def _pinned(self, request: Request, session: Session) -> Ranked | None:
        """Returns what is left of the ranking that the token pins: no scorer, no other source, no repeat."""
        pinned = session.pinned
        if pinned is None:
            return None
        blocked = self._knowledge.corrections(request.user_id).blocked_video_ids
        ranking = without(pinned.to_come(), wire.excluded(request) | blocked)
        origin = Origin(
            pinned.source, pinned.fallback_reason, pinned.algorithm, pinned.model_version, pinned.membership
        )
        return Ranked(ranking, origin, continued=True)

    async def _anew(self, request: Request, session: Session, progress: Progress, entry: Entry) -> Ranked:
        """Ranks: by a scorer, or else by the ladder; by that alone where an experiment or the user has it so."""
        treatment = session.treatment
        if treatment.ranked_by is RankedBy.TRENDING or not self._knowledge.personalised(request.user_id):
            return await self._fallen_back(request, session, FallbackReason.NONE, progress)
        try:
            answer = await self._unseen(request, session, progress, entry)
        except Exception:  # noqa: BLE001  # a bug must cost the caller the personal page, not the page
            _LOG.exception("bridge.ranking_failed")
            answer = FallbackReason.UNAVAILABLE
        if isinstance(answer, FallbackReason):
            return await self._fallen_back(request, session, answer, progress)
        response, ranking = answer
        self._knowledge.answered(response)
        ranking = unshown(without(ranking, wire.excluded(request)), session.marks())
        if not ranking.video_ids:
            return await self._fallen_back(request, session, FallbackReason.EMPTY_RANKING, progress)
        origin = Origin(
            Source.LIGHTFM, FallbackReason.NONE, response.algorithm, response.model_version, treatment.membership
        )
        return Ranked(ranking, origin, answer=response)

    async def _unseen(
        self, request: Request, session: Session, progress: Progress, entry: Entry
    ) -> Answered | FallbackReason:
        """Asks for what the user has neither seen nor been sent; for whom nothing is left, a new feed starts over."""
        # What is not in memory is read while the scorer ranks, and taken out of what it answers.
        recalled = self._knowledge.recall(request.user_id)
        wish = self._knowledge.wish(request, session, recalled=recalled)
        answer = await self._ask_scorers(wish, progress, entry)
        left_s = progress.until - self._clock.monotonic()
        if _is_stranger(answer) and await self._knowledge.introduce(wish, request, left_s):
            answer = await self._ask_scorers(wish, progress, entry)
        if not recalled and not isinstance(answer, FallbackReason):
            answer = await self._sifted(request, wish, answer, progress, entry)
        if session.position or isinstance(answer, FallbackReason) or not wish.compact_exclude_video_ids:
            return answer
        if _is_stranger(answer) or len(answer[1].video_ids) >= wire.page_size_of(request):
            return answer
        wish.compact_exclude_video_ids = ""
        return await self._ask_scorers(wish, progress, entry)

    async def _sifted(
        self, request: Request, wish: scoring_pb2.RankRequest, answer: Answered, progress: Progress, entry: Entry
    ) -> Answered | FallbackReason:
        """Takes out what the user has met, now that it is known; asks once more where that leaves less than a page."""
        response, ranking = answer
        seen = await self._knowledge.recalled(request.user_id, progress.until - self._clock.monotonic())
        gone = among(seen, ranking.video_ids)
        if not gone:
            return answer
        left = without(ranking, gone)
        if len(left.video_ids) >= wire.page_size_of(request):
            return response, left
        self._knowledge.tell_seen(wish)
        return await self._ask_scorers(wish, progress, entry)

    async def _ask_scorers(
        self, wish: scoring_pb2.RankRequest, progress: Progress, entry: Entry
    ) -> Answered | FallbackReason:
        if not self._admission.may_ask(entry):
            return FallbackReason.OVERLOAD
        start = self._clock.monotonic()
        answer: Answered | FallbackReason | None = None
        try:
            answer = await self._attempts.ask(wish, progress)
            return answer
        finally:
            self._admission.asked(start, answer)

    async def _fallen_back(
        self, request: Request, session: Session, reason: FallbackReason, progress: Progress
    ) -> Ranked:
        """Climbs the ladder."""
        start = self._clock.monotonic()
        asked = wire.conditions(request)
        viewer = Viewer(request.user_id, request.context.country, request.context.locale)
        corrections = self._knowledge.corrections(request.user_id)
        steps = await self._lists.ladder(viewer, asked, corrections, reason, progress.until - start)
        page_size = wire.page_size_of(request)
        # Too much to do is no time for a read.
        left_s = 0.0 if reason is FallbackReason.OVERLOAD else progress.until - self._clock.monotonic()
        seen, marks = await self._knowledge.seen(request.user_id, left_s), session.marks()

        def gone_of(video_ids: Sequence[str]) -> AbstractSet[str]:
            gone = among(seen, video_ids)
            return gone | shown_of(video_ids, marks) if marks else gone

        most = page_size + self._knowledge.candidates
        choice = choose(steps, asked, page_size, most, gone_of)
        if seen and len(choice.rung.video_ids) < page_size and not session.position:
            # Better a feed of what was seen than half of one.
            choice = choose(steps, asked, page_size, most)
        rung = choice.rung
        ranking = self._explored(session, rung, asked, corrections, gone_of)
        progress.fallback_s = self._clock.monotonic() - start
        origin = Origin(rung.source, reason, rung.algorithm, rung.model_version, session.treatment.membership)
        more = len(rung.video_ids) >= page_size or any(why is Skip.TOO_SHORT for _, why in choice.skipped)
        return Ranked(ranking, origin, rung=rung.name, skipped=choice.skipped, more=more)

    def _explored(
        self,
        session: Session,
        rung: Rung,
        asked: Conditions,
        corrections: Corrections,
        gone_of: Callable[[Sequence[str]], AbstractSet[str]],
    ) -> Ranking:
        """Returns what a rung holds; of trending with some places for new videos: by itself it never meets one."""
        ranking = Ranking(rung.video_ids, rung.scores)
        if not self._policy.exploration or rung.source is not Source.TRENDING:
            return ranking
        drawn = lots(session.seed)
        newcomers = self._lists.newcomers(next(drawn), corrections)
        may_appear = keeper(asked, newcomers.facts, gone_of(newcomers.video_ids))
        return explore(ranking, newcomers, may_appear, self._policy.exploration, drawn)

    async def _reasons(
        self, request: Request, session: Session, ranked: Ranked, page: Page, progress: Progress
    ) -> Sequence[Reasons]:
        left_s = progress.until - self._clock.monotonic() - self._policy.deadline.reserve_s
        return await self._explainer.reasons(request, session, ranked.origin, ranked.rung, page, left_s)

    def _answer(
        self,
        request: Request,
        session: Session,
        ranked: Ranked,
        page: Page,
        reasons: Sequence[Reasons],
        progress: Progress,
    ) -> Response:
        start = self._clock.monotonic()
        origin = ranked.origin
        response = Response(
            next_page_token=self._next_token(request, session, ranked, page),
            algorithm=origin.algorithm,
            source=wire.SOURCES[origin.source],
            fallback_reason=wire.REASONS[origin.reason],
            model_version=origin.model_version,
            feed_session_id=session.feed_session_id,
            recommendation_id=self._chance.new_id(),
            attempts=len(progress.tried),
            contract_version=CONTRACT_RELEASE,
        )
        for experiment, variant in origin.membership.variants:
            response.experiments.add(experiment=experiment, variant=variant)
        self._add_items(response, request.user_id, page, reasons)
        self._knowledge.served(request.user_id, page.video_ids)
        now = self._clock.monotonic()
        response.budget_left_ms = max(0, int((progress.until - now) * 1000))
        self._observer.page_served(
            PageServed(
                request.user_id,
                response,
                origin.source,
                origin.reason,
                ranked.continued,
                ranked.rung,
                ranked.skipped,
                len(progress.tried),
                now - progress.arrival,
                progress.until - now,
                StageTimes(progress.scorer_s, progress.backoff_s, progress.fallback_s, now - start, progress.queue_s),
                request,
                page,
                ranked.answer,
                () if origin.membership.is_test else origin.membership.variants,
                withheld=not self._knowledge.personalised(request.user_id),
            )
        )
        return response

    def _add_items(self, response: Response, user_id: str, page: Page, reasons: Sequence[Reasons]) -> None:
        proofs: Sequence[str] = ()
        if self._policy.proves_served:
            proofs = make_tokens(self._policy.token_keys()[0], response.recommendation_id, user_id, page.video_ids)
        wire.add_items(response, page, proofs, reasons)

    def _next_token(self, request: Request, session: Session, ranked: Ranked, page: Page) -> str:
        """Returns the token of the next page, none at the end of everything.

        A ranking that has run out is no end: there is more in the catalogue than a scorer is asked for. Only where the
        ladder, too, could not fill a page, and no other rung has anything, nothing is left.
        """
        if not page.video_ids or (not ranked.more and not page.rest.video_ids):
            return ""
        return self._sessions.token(request, session, ranked.origin, page, self._knowledge.candidates)


def _is_stranger(answer: Answered | FallbackReason) -> bool:
    """Tells whether a model knows nothing of the user."""
    return not isinstance(answer, FallbackReason) and not answer[0].known_user and not answer[1].video_ids
