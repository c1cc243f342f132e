"""Why a video is on a page: told with the page when it is asked for, or afterwards."""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from bridge.domain.explanation import NEW, SINCE_RANKED, STAGES, Decision, Explanation, adding_up, in_words
from bridge.domain.outcome import VERDICTS, Outcome, Source
from bridge.domain.page import Page
from bridge.knowledge import Knowledge
from bridge.pool import ScorerPool
from bridge.ports import Chance, Clock, Decisions, ExplainCalls, ListError, ScorerError
from bridge.sessions import Origin, Session
from bridge.telemetry import ListFailed, ListTrouble, Observer
from bridge.wire import Reasons
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2
from runtime.errors import NotFoundError, UnavailableError

_LOG = structlog.get_logger(__name__)

DECISIONS: Final = "decisions"

# Longest wait for a scorer by somebody who asks afterwards.
_PATIENCE_S: Final = 1.0
# Less is not worth asking.
_SHORTEST_S: Final = 0.002

Request = recommendations_pb2.GetRecommendationsRequest
Asked = recommendations_pb2.ExplainRecommendationRequest
Told = recommendations_pb2.ExplainRecommendationResponse


class Explainer:
    """Explains videos. It asks a scorer once; what cannot be told costs the reasons, not the page.

    Args:
        knowledge: Knows the users.
        pool: The scorers.
        calls: The connections to them, by target.
        decisions: Where it stands what was served.
        clock: Time.
        chance: Randomness.
        observer: Who is told of troubles.
    """

    def __init__(  # each by its name
        self,
        knowledge: Knowledge,
        pool: ScorerPool,
        calls: Mapping[str, ExplainCalls],
        decisions: Decisions,
        clock: Clock,
        chance: Chance,
        observer: Observer,
    ) -> None:
        self._knowledge = knowledge
        self._pool = pool
        self._calls = calls
        self._decisions = decisions
        self._clock = clock
        self._chance = chance
        self._observer = observer

    async def reasons(
        self,
        request: Request,
        session: Session,
        origin: Origin,
        rung: str,
        page: Page,
        left_s: float,
    ) -> list[Reasons]:
        """Returns for each video of a page the parts of its score and a few words.

        Args:
            request: The request.
            session: Where the scroll is.
            origin: Where the ranking came from.
            rung: The ladder's rung, or empty.
            page: The page.
            left_s: What is left of the request's time, in seconds.
        """
        told = None
        if origin.source is Source.LIGHTFM and page.video_ids:
            told = await self._ask(self._knowledge.wish(request, session), page.video_ids, left_s)
        rest = STAGES if told is not None and told.model_version == origin.model_version else SINCE_RANKED
        found = _by_video(told)
        reasons = [
            _reason(found.get(video_id), score, rest, origin, rung)
            for video_id, score in zip(page.video_ids, page.scores, strict=True)
        ]
        for place, _ in page.explored:
            reasons[place] = _reason_of_new(found.get(page.video_ids[place]), page.scores[place], rest)
        return reasons

    async def explain(self, asked: Asked) -> Told:
        """Explains one video, as it was served or as it would be scored now.

        Raises:
            NotFoundError: When the page had no such video, or that is not known (any more).
            UnavailableError: When it cannot be told now.
        """
        decision = await self._decision(asked) if asked.recommendation_id else None
        if decision is None and not self._knowledge.personalised(asked.user_id):
            raise NotFoundError("NOT_FOUND", "userId: nothing personal is served to this user")
        now = await self._now(asked) if decision is None or decision.source is Source.LIGHTFM else None
        if decision is not None:
            return _told_of_page(decision, now)
        if now is None:
            raise UnavailableError("UNAVAILABLE", "no scorer can be asked now", retry_after_s=1.0)
        (found,) = now.explanations
        if not found.known_video:
            raise NotFoundError("NOT_FOUND", "videoId: the model does not know this video")
        explanation = _explanation(found)
        return _told(explanation.parts, found.score, Source.LIGHTFM, now.algorithm, now.model_version, explanation)

    async def _decision(self, asked: Asked) -> Decision:
        try:
            found = await self._decisions.read(asked.recommendation_id, asked.user_id, asked.video_id)
        except ListError as error:
            self._observer.list_failed(ListFailed(DECISIONS, ListTrouble.UNREADABLE))
            raise UnavailableError("UNAVAILABLE", "what was served cannot be read now", retry_after_s=1.0) from error
        if found is None:
            raise NotFoundError(
                "NOT_FOUND", "recommendationId: no page of this user with this video is known; it takes a second to be"
            )
        return found

    async def _now(self, asked: Asked) -> scoring_pb2.ExplainResponse | None:
        if not self._knowledge.personalised(asked.user_id):
            return None
        request = Request(user_id=asked.user_id)
        self._knowledge.complete(request)
        return await self._ask(self._knowledge.wish(request, Session("")), [asked.video_id], _PATIENCE_S)

    async def _ask(
        self, wish: scoring_pb2.RankRequest, video_ids: Sequence[str], left_s: float
    ) -> scoring_pb2.ExplainResponse | None:
        """Asks one scorer, if a breaker lets it."""
        if left_s < _SHORTEST_S:
            return None
        lease = self._pool.acquire((), self._clock.monotonic(), self._chance.jitter())
        if lease is None:
            return None
        outcome = Outcome.CANCELLED
        try:
            response = await self._calls[lease.member.scorer.target].explain(
                scoring_pb2.ExplainRequest(rank=wish, video_ids=video_ids), min(left_s, _PATIENCE_S)
            )
        except ScorerError as error:
            outcome = error.failure.outcome
            return None
        except Exception:  # noqa: BLE001  # a bug must cost the reasons, not the page
            _LOG.exception("bridge.explaining_failed")
            outcome = Outcome.INTERNAL
            return None
        else:
            outcome = Outcome.OK
            return response
        finally:
            self._pool.release(lease, VERDICTS[outcome], self._clock.monotonic(), self._chance.jitter())


def _by_video(told: scoring_pb2.ExplainResponse | None) -> Mapping[str, Explanation]:
    if told is None:
        return {}
    return {each.video_id: _explanation(each) for each in told.explanations if each.known_video}


def _explanation(each: scoring_pb2.Explanation) -> Explanation:
    return Explanation({part.name: part.value for part in each.parts}, each.because_video_ids, each.removed_by)


def _reason(explanation: Explanation | None, score: float, rest: str, origin: Origin, rung: str) -> Reasons:
    words = in_words(origin.source, rung, explanation)
    if explanation is None or not explanation.parts:
        return {origin.algorithm: score}, words
    return adding_up(explanation.parts, score, rest), words


def _reason_of_new(explanation: Explanation | None, score: float, rest: str) -> Reasons:
    """Tells of a video whose place was kept for new ones: where no scorer scored it, its score is that of its place."""
    if explanation is None or not explanation.parts:
        return {STAGES: score}, NEW
    return adding_up(explanation.parts, score, rest), NEW


def _told_of_page(decision: Decision, now: scoring_pb2.ExplainResponse | None) -> Told:
    """Tells of a page: by what was written down; of a later page of a session, by what the model says now."""
    explanation = None if now is None else _explanation(now.explanations[0])
    parts = decision.parts
    if not parts and now is not None and explanation is not None and now.explanations[0].known_video:
        rest = STAGES if now.model_version == decision.model_version else SINCE_RANKED
        parts = adding_up(explanation.parts, decision.score, rest)
    told = _told(
        parts or {STAGES if decision.new else decision.algorithm: decision.score},
        decision.score,
        decision.source,
        decision.algorithm,
        decision.model_version,
        explanation,
    )
    told.position = decision.position
    if decision.new:
        told.explanation = NEW
    told.removed.update(decision.removed)
    return told


def _told(
    parts: Mapping[str, float],
    score: float,
    source: Source,
    algorithm: str,
    model_version: str,
    explanation: Explanation | None,
) -> Told:
    return Told(
        score=score,
        reasons=[recommendations_pb2.Reason(component=name, value=value) for name, value in parts.items()],
        model_version=model_version,
        explanation=in_words(source, "", explanation),
        source=recommendations_pb2.Source.Value(source.value),
        algorithm=algorithm,
        removed_by="" if explanation is None else explanation.removed_by,
    )
