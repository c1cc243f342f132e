"""The session of a scroll: what its token pins, where it is, and what it has shown."""

from collections.abc import Callable, Sequence

import msgspec

from bridge import wire
from bridge.domain import cursor as tokens
from bridge.domain.experiments import NO_MEMBERSHIP, UNTREATED, Membership, Treatment
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.page import Page, Ranking, join_ids, pack_scores
from bridge.domain.shown import NOTHING_SHOWN, Marks, joined, marks_of, read_marks
from bridge.ports import Chance, Clock
from feed.recommendations.v1 import recommendations_pb2
from runtime.errors import InvalidArgumentError, Violation
from runtime.lots import lot_of

Request = recommendations_pb2.GetRecommendationsRequest


class Session(msgspec.Struct, frozen=True, gc=False):
    """Where a scroll is before the page that is asked for.

    Args:
        feed_session_id: Its id.
        position: Place of the last video shown; 0: none yet.
        shown: The marks of what was shown.
        pinned: What the token pins; None at the start, and when something was blocked since it was ranked.
        blocks: Marks of what editors blocked, other than single videos.
        treatment: What experiments make of what is ranked anew.
    """

    feed_session_id: str
    position: int = 0
    shown: bytes = b""
    pinned: tokens.Cursor | None = None
    blocks: frozenset[int] = frozenset()
    treatment: Treatment = UNTREATED

    @property
    def seed(self) -> int:
        """The seed of what is ranked here: the same session at the same place has the same order. 64 bits, not 0."""
        return lot_of(f"{self.feed_session_id}/{self.position}") or 1

    def marks(self) -> Marks:
        """Returns what must not come again."""
        return read_marks(self.shown) if self.shown else NOTHING_SHOWN


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a ranking came from.

    Args:
        source: Who ranked.
        reason: Why it was not the model.
        algorithm: What ranked.
        model_version: The model, or empty.
        membership: The experiments that it was part of.
    """

    source: Source
    reason: FallbackReason
    algorithm: str
    model_version: str = ""
    membership: Membership = NO_MEMBERSHIP


class Sessions:
    """Opens and seals page tokens.

    Args:
        keys: Returns the secrets that sign them, the one to sign with first.
        ttl_s: How long one holds, in seconds.
        clock: Time.
        chance: Gives new sessions their ids.
    """

    def __init__(self, keys: Callable[[], Sequence[bytes]], ttl_s: int, clock: Clock, chance: Chance) -> None:
        self._keys = keys
        self._ttl_s = ttl_s
        self._clock = clock
        self._chance = chance

    def of(self, request: Request, blocks: frozenset[int] = frozenset(), treatment: Treatment = UNTREATED) -> Session:
        """Returns the session that a request goes on with, or a new one.

        Args:
            request: The request.
            blocks: Marks of what editors blocked for the user, other than single videos.
            treatment: What experiments make of what is ranked anew.

        Raises:
            InvalidArgumentError: When the page token is refused, with why.
        """
        if not request.page_token:
            feed_session_id = request.feed_session_id or self._chance.new_id()
            return Session(feed_session_id, blocks=blocks, treatment=treatment)
        try:
            cursor = tokens.open_token(request.page_token, self._keys(), self._clock.wall())
            tokens.require_same(
                cursor,
                user_id=request.user_id,
                feed_session_id=request.feed_session_id,
                arguments=wire.arguments_digest(request),
            )
        except tokens.CursorError as error:
            raise InvalidArgumentError([Violation("pageToken", error.refusal.value)]) from error
        pinned = cursor if blocks <= cursor.blocks else None
        return Session(cursor.feed_session_id, cursor.position, cursor.shown, pinned, blocks, treatment)

    def token(self, request: Request, session: Session, origin: Origin, page: Page, most: int) -> str:
        """Makes the token of the next page, with at most so many videos still to come."""
        issued = int(self._clock.wall())
        rest = Ranking(page.rest.video_ids[:most], page.rest.scores[:most], page.rest.propensities)
        cursor = tokens.Cursor(
            feed_session_id=session.feed_session_id,
            user_id=request.user_id,
            source=origin.source,
            fallback_reason=origin.reason,
            algorithm=origin.algorithm,
            model_version=origin.model_version,
            arguments=wire.arguments_digest(request),
            issued=issued,
            expiry=issued + self._ttl_s,
            position=session.position + len(page.video_ids),
            video_ids=join_ids(rest.video_ids),
            scores=pack_scores(rest.scores),
            shown=joined(session.shown, marks_of(page.video_ids)),
            explored=dict(rest.explored()),
            blocks=session.blocks,
            membership=origin.membership,
        )
        return tokens.seal(cursor, self._keys()[0])
