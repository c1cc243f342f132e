"""What is known of a user when a page is made: what was done of late, what was seen and sent, what editors changed."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from bridge import wire
from bridge.corrections import Corrector, NothingCorrected
from bridge.domain.corrections import Corrections
from bridge.domain.experiments import UNTREATED, Treatment
from bridge.domain.history import NOTHING_SEEN
from bridge.domain.shown import MARK_BYTES
from bridge.experiments import Experiments, NoExperiments, staged
from bridge.history import History, NoHistory
from bridge.recent import NothingRecent, Recent
from bridge.sessions import Session
from bridge.strangers import NothingKnown, Strangers
from feed.recommendations.v1 import recommendations_pb2
from feed.scoring.v1 import scoring_pb2
from runtime.consent import Consents, EverybodyAgrees
from runtime.experiments import RankedBy

# The contract's limit of what a scorer is asked for.
_MOST_CANDIDATES: Final = 1_000
_CHOICES: Final = {
    RankedBy.MODEL: scoring_pb2.LIVE,
    RankedBy.CANDIDATE: scoring_pb2.CANDIDATE,
    RankedBy.TRENDING: scoring_pb2.LIVE,
}

Request = recommendations_pb2.GetRecommendationsRequest


@dataclass(frozen=True, slots=True)
class WishPolicy:
    """What scorers are asked for.

    Args:
        candidates: How many videos a page's token carries.
        stages: What they do with the scores before they are a ranking.
        parts: Whether the parts of the scores come too, to be told with what was served.
    """

    candidates: int = 80
    stages: scoring_pb2.Stages = field(default_factory=scoring_pb2.Stages)
    parts: bool = False


class Knowledge:
    """Knows users, and makes of it what scorers are asked.

    Args:
        policy: What scorers are asked for.
        recent: Knows what users did of late.
        history: Knows what users have seen and been sent.
        corrector: Knows what editors changed.
        strangers: Knows of users whom the models do not know.
        experiments: Knows which experiments they are part of.
        consents: Knows who wants to be known; of the others nothing is told, nor remembered.
    """

    def __init__(  # what is known of a user, each by its name
        self,
        policy: WishPolicy,
        recent: Recent | None = None,
        history: History | None = None,
        corrector: Corrector | None = None,
        strangers: Strangers | None = None,
        experiments: Experiments | None = None,
        consents: Consents | None = None,
    ) -> None:
        self._policy = policy
        self._recent = NothingRecent() if recent is None else recent
        self._history = NoHistory() if history is None else history
        self._corrector = NothingCorrected() if corrector is None else corrector
        self._strangers = NothingKnown() if strangers is None else strangers
        self._experiments = NoExperiments() if experiments is None else experiments
        self._consents = EverybodyAgrees() if consents is None else consents

    @property
    def candidates(self) -> int:
        """How many videos a token carries."""
        return self._policy.candidates

    def personalised(self, user_id: str) -> bool:
        """Says whether a user may be served personally."""
        return self._consents.personalised(user_id)

    def complete(self, request: Request) -> None:
        """Adds what the user did of late to what the request says of it."""
        if self.personalised(request.user_id):
            self._recent.complete(request)

    def recall(self, user_id: str) -> bool:
        """Says whether what a model does not know of what the user met is in memory; if not, begins to read it."""
        return self._history.begin(user_id)

    async def recalled(self, user_id: str, left_s: float) -> AbstractSet[str]:
        """Returns what was begun to be read; waits a few ms at most, never fails."""
        return await self._history.of(user_id, left_s)

    async def seen(self, user_id: str, left_s: float) -> AbstractSet[str]:
        """Returns what must not come back; waits some ms more for what is old, which no model keeps off."""
        return await self._history.whole(user_id, left_s) if self.personalised(user_id) else NOTHING_SEEN

    def corrections(self, user_id: str) -> Corrections:
        """Returns what editors changed for a user."""
        return self._corrector.of(user_id)

    def wish(self, request: Request, session: Session, *, recalled: bool = True) -> scoring_pb2.RankRequest:
        """Returns what a scorer is asked: more than usual where some of what it answers may be taken out.

        Args:
            request: What the caller asks.
            session: The session it belongs to.
            recalled: Whether what the user met is in memory, and so can be told.
        """
        page_size = wire.page_size_of(request)
        # As many to spare as may be taken out afterwards: then the token is full, and its last page, too.
        spare = len(session.shown) // MARK_BYTES + (0 if recalled else self.candidates)
        wish = wire.rank_request(request, min(page_size + self.candidates + spare, _MOST_CANDIDATES))
        wish.seed = session.seed
        wish.stages.CopyFrom(self._stages(session.treatment))
        if session.treatment.membership.variants:
            # Whoever is part of an experiment is part of no canary beside it.
            wish.model_choice = _CHOICES[session.treatment.ranked_by]
        wish.user_features.extend(self._strangers.known(request.user_id) or ())
        self.tell_seen(wish)
        corrections = self._corrector.of(request.user_id)
        if corrections:
            wish.MergeFromString(corrections.message)
        if self._policy.parts:
            wish.parts = page_size if recalled else 2 * page_size
        return wish

    def treatment(self, request: Request) -> Treatment:
        """Returns what experiments make of what is ranked for a request.

        Raises:
            InvalidArgumentError: When a tester asks for a variant that may not be had.
        """
        return self._experiments.of(request) if self.personalised(request.user_id) else UNTREATED

    def _stages(self, treatment: Treatment) -> scoring_pb2.Stages:
        return staged(self._policy.stages, treatment.parameters) if treatment.parameters else self._policy.stages

    def tell_seen(self, wish: scoring_pb2.RankRequest) -> None:
        """Says in a wish what its user has met that the model does not know."""
        wish.compact_exclude_video_ids = self._history.beyond_model(wish.user_id)

    async def introduce(self, wish: scoring_pb2.RankRequest, request: Request, left_s: float) -> bool:
        """Says in a wish what is known of a user whom the model does not know; returns whether that is news.

        Args:
            wish: What a scorer was asked.
            request: What the caller asks.
            left_s: What is left of the request's time, in seconds.
        """
        if self._strangers.known(request.user_id) is not None:
            return False
        context = request.context
        words = await self._strangers.read(request.user_id, context.locale, context.country, left_s)
        wish.user_features.extend(words)
        return bool(words)

    def answered(self, response: scoring_pb2.RankResponse) -> None:
        """Takes what a scorer says of its model."""
        known_until_s = response.data_until_ms / 1000
        self._recent.trained_until(known_until_s)
        self._history.trained_until(known_until_s)

    def served(self, user_id: str, video_ids: Sequence[str]) -> None:
        """Says that these were just served."""
        if self.personalised(user_id):
            self._history.served(user_id, video_ids)
