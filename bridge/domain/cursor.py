"""The page token: opaque to clients, and everything the next page needs.

`base64url(tag || version || payload)`: the tag is keyed BLAKE2b over all that follows it, so nothing is unpacked that
this deployment did not write. The payload is MessagePack, deflated when it is long. The token pins the ranking, so a
page needs no store and no scorer, and survives another process, a restart and a new model.
"""

import base64
import binascii
import hashlib
import hmac
import zlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from bridge.domain.experiments import NO_MEMBERSHIP, Membership
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.page import Ranking, join_ids, split_ids, unpack_scores

# The limit of `page_token` in the contract.
MAX_CHARS: Final = 16_384

_PLAIN: Final = b"\x02"
_DEFLATED: Final = b"\x03"
_TAG_BYTES: Final = 32
_SCORE_BYTES: Final = 4
# Far above any payload that fits MAX_CHARS when written by us; holds even if the key leaked.
_MAX_PAYLOAD_BYTES: Final = 262_144
# Measured: deflating 1.7 KB costs 50 us and saves a quarter, so it is done only where the room is needed.
_PLAIN_BELOW_BYTES: Final = 6_000


class Refusal(StrEnum):
    """Why a token is refused; the words are for the caller."""

    MALFORMED = "is not a page token of this service"
    FORGED = "is not a page token of this service, or was altered"
    EXPIRED = "has expired; start a fresh feed without a page token"
    OTHER_USER = "was given to another user"
    OTHER_SESSION = "belongs to another feed session"
    OTHER_ARGUMENTS = "was given for other filters; keep them the same from page to page"


class CursorError(Exception):
    """A token is refused. The caller's fault: send the last page's token unchanged, or none."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """What a token pins.

    Args:
        feed_session_id: The session of the scroll.
        user_id: Whose it is.
        source: Where the ranking came from.
        fallback_reason: Why it is not the model's.
        algorithm: What ranked it.
        model_version: The model; empty when none did.
        arguments: Digest of the filters of the first page.
        issued: When the token was made, in Unix seconds.
        expiry: When it ends, in Unix seconds.
        position: Place in the session of the last video served.
        video_ids: The videos still to come, as `page.join_ids` writes them.
        scores: Their scores, as `page.pack_scores` writes them.
        shown: What the session has shown, as `shown.marks_of` writes it: what follows when these videos have run out
            must be others.
        explored: Which of the places still to come, from 0, were kept for new videos, and with which probability each
            got its place.
        blocks: Marks of what editors had blocked, other than single videos, when the videos were ranked.
        membership: The experiments that the ranking was part of.
    """

    feed_session_id: str
    user_id: str
    source: Source
    fallback_reason: FallbackReason
    algorithm: str
    model_version: str
    arguments: bytes
    issued: int
    expiry: int
    position: int
    video_ids: str
    scores: bytes
    shown: bytes = b""
    explored: dict[int, float] = {}
    blocks: frozenset[int] = frozenset()
    membership: Membership = NO_MEMBERSHIP

    def to_come(self) -> Ranking:
        """Returns the ranking still to be served."""
        video_ids = split_ids(self.video_ids)
        propensities = {video_ids[place]: propensity for place, propensity in self.explored.items()}
        return Ranking(video_ids, unpack_scores(self.scores), propensities)


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Cursor)


def seal(cursor: Cursor, key: bytes) -> str:
    """Makes the token; drops videos from the end when they do not fit into `MAX_CHARS`."""
    while True:
        token = _seal_once(cursor, key)
        if len(token) <= MAX_CHARS:
            return token
        rest = cursor.to_come()
        kept = len(rest.video_ids) * MAX_CHARS * 9 // (len(token) * 10)
        cursor = msgspec.structs.replace(
            cursor,
            video_ids=join_ids(rest.video_ids[:kept]),
            scores=cursor.scores[: kept * _SCORE_BYTES],
            explored={place: propensity for place, propensity in cursor.explored.items() if place < kept},
        )


def open_token(token: str, keys: Sequence[bytes], now: float) -> Cursor:
    """Reads a token.

    Args:
        token: As the caller sent it.
        keys: The secrets of this deployment.
        now: The present, in Unix seconds.

    Raises:
        CursorError: When it is malformed, forged or expired.
    """
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise CursorError(Refusal.MALFORMED) from error
    tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if len(tag) < _TAG_BYTES or body[:1] not in (_PLAIN, _DEFLATED):
        raise CursorError(Refusal.MALFORMED)
    if not any(hmac.compare_digest(tag, _tag(body, key)) for key in keys):
        raise CursorError(Refusal.FORGED)
    cursor = _decode(body)
    if now >= cursor.expiry:
        raise CursorError(Refusal.EXPIRED)
    return cursor


def require_same(cursor: Cursor, *, user_id: str, feed_session_id: str, arguments: bytes) -> None:
    """Checks that a token is used by whom and for what it was made.

    Raises:
        CursorError: When the user, a stated session or the filters differ.
    """
    if cursor.user_id != user_id:
        raise CursorError(Refusal.OTHER_USER)
    if feed_session_id and cursor.feed_session_id != feed_session_id:
        raise CursorError(Refusal.OTHER_SESSION)
    if cursor.arguments != arguments:
        raise CursorError(Refusal.OTHER_ARGUMENTS)


def _seal_once(cursor: Cursor, key: bytes) -> str:
    payload = _ENCODER.encode(cursor)
    body = _PLAIN + payload if len(payload) < _PLAIN_BELOW_BYTES else _DEFLATED + zlib.compress(payload, 1)
    return base64.urlsafe_b64encode(_tag(body, key) + body).decode("ascii")


def _tag(body: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=_TAG_BYTES).digest()


def _decode(body: bytes) -> Cursor:
    try:
        plain = body[:1] == _PLAIN
        payload = body[1:] if plain else zlib.decompressobj().decompress(body[1:], _MAX_PAYLOAD_BYTES)
        return _DECODER.decode(payload)
    except (zlib.error, msgspec.DecodeError) as error:
        raise CursorError(Refusal.MALFORMED) from error
