"""The JSON of `POST /feed/interactions`, decoded with types into the contract's message.

msgspec, because it is 90 times faster than protobuf's `json_format`; a contract test holds the two equal. The
rules are the message's own, so only what a message cannot hold is refused here.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from feed.common.v1 import common_pb2
from feed.interactions.v1 import interactions_pb2 as pb
from runtime.errors import Violation

_INT32: Final = 2**31
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# How msgspec ends its messages.
_PLACE: Final = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_UNKNOWN_FIELD: Final = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
# A name from outside is cut here before it is told back.
_TOLD_CHARS: Final = 128
_TIME_TEXT: Final = "must be RFC 3339 with a zone, such as 2025-09-01T12:00:00.000Z"


class UnreadableBodyError(Exception):
    """The caller's fault: no JSON, or JSON of another shape.

    Args:
        violation: Where and what.
        event_id: Of the event, when that much could be read.
    """

    def __init__(self, violation: Violation, event_id: str = "") -> None:
        super().__init__(violation.reason)
        self.violation = violation
        self.event_id = event_id


class _Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    experiment: str = ""
    variant: str = ""


class _Interaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """All optional, and null as good as absent, as in protobuf's JSON: what must be there, the rules say."""

    event_id: str | None = None
    user_id: str | None = None
    video_id: str | None = None
    interaction_type: str | None = None
    watch_time: float | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    feed_session_id: str | None = None
    recommendation_id: str | None = None
    position: int | float | None = None
    algorithm: str | None = None
    recommendation_score: float | None = None
    model_version: str | None = None
    experiments: tuple[_Assignment, ...] | None = None
    rating: float | None = None
    served_token: str | None = None
    metadata: dict[str, str] | None = None


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    interactions: list[msgspec.Raw]


class _EventId(msgspec.Struct, frozen=True, rename="camel"):
    event_id: str = ""


# Bytes that are no UTF-8 and brackets nested too deep have Python's own errors.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BATCH: Final = msgspec.json.Decoder(_Batch)
_INTERACTION: Final = msgspec.json.Decoder(_Interaction)
_EVENT_ID: Final = msgspec.json.Decoder(_EventId)


def is_batch(body: bytes) -> bool:
    """Says whether a body is a batch; raises UnreadableBodyError when it is no JSON object."""
    try:
        return "interactions" in _OBJECT.decode(body)
    except _UNREADABLE as error:
        raise UnreadableBodyError(_violation(error, "body")) from error


def split_batch(body: bytes) -> list[bytes]:
    """Returns the events of a batch, each still JSON, so that a bad one is refused alone."""
    try:
        return [bytes(raw) for raw in _BATCH.decode(body).interactions]
    except _UNREADABLE as error:
        raise UnreadableBodyError(_violation(error, "body")) from error


def decode_interaction(body: bytes) -> pb.Interaction:
    """Reads one event.

    Raises:
        UnreadableBodyError: It names the field.
    """
    try:
        return _message(_INTERACTION.decode(body))
    except _UNREADABLE as error:
        raise UnreadableBodyError(_violation(error, "interaction"), _event_id(body)) from error


def _message(found: _Interaction) -> pb.Interaction:
    position = _whole(found.position or 0)
    message = pb.Interaction(
        event_id=found.event_id or "",
        user_id=found.user_id or "",
        video_id=found.video_id or "",
        interaction_type=_interaction_type(found.interaction_type),
        watch_time_s=0.0 if found.watch_time is None else found.watch_time,
        feed_session_id=found.feed_session_id or "",
        recommendation_id=found.recommendation_id or "",
        position=position if -_INT32 <= position < _INT32 else -1,  # no int32; the rule refuses both alike
        algorithm=found.algorithm or "",
        recommendation_score=found.recommendation_score,
        model_version=found.model_version or "",
        experiments=[
            common_pb2.ExperimentAssignment(experiment=each.experiment, variant=each.variant)
            for each in found.experiments or ()
        ],
        rating=found.rating,
        served_token=found.served_token or "",
        metadata=found.metadata or {},
    )
    if found.timestamp is not None:
        message.timestamp.CopyFrom(_timestamp(found.timestamp))
    return message


def _whole(number: float) -> int:
    """Returns a number of JSON, which knows one kind alone, as a whole one."""
    if number != int(number):
        raise msgspec.ValidationError("Expected `int`, got `float` - at `$.position`")
    return int(number)


def _interaction_type(name: str | None) -> pb.InteractionType.ValueType:
    """Returns the type, or 0 for an unknown name, which the rules refuse with the list of names."""
    return pb.InteractionType.Value(name) if name in pb.InteractionType.keys() else pb.INTERACTION_TYPE_UNSPECIFIED  # noqa: SIM118  # no dict


def _timestamp(time: datetime) -> Timestamp:
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def _violation(error: Exception, whole: str) -> Violation:
    """Turns msgspec's message into a field and a reason."""
    if not isinstance(error, msgspec.MsgspecError):
        return Violation(whole, "must be JSON in UTF-8, nested no deeper than an interaction is")
    place = _PLACE.search(str(error))
    reason = (str(error)[: place.start()] if place else str(error)).replace(" | null", "")
    path = place["path"] if place else ""
    unknown = _UNKNOWN_FIELD.match(reason)
    if unknown:
        return Violation(f"{path}.{unknown['name'][:_TOLD_CHARS]}".lstrip("."), "is no field of this object")
    if path == "timestamp":
        return Violation(path, _TIME_TEXT)
    return Violation(path or whole, reason)


def _event_id(body: bytes) -> str:
    try:
        return _EVENT_ID.decode(body).event_id
    except _UNREADABLE:
        return ""
