"""The JSON of `feed.interactions.v1`: written by the ingest service, read by the sink and by anybody else.

The contract (release v2025.9): `userId, videoId, interactionType, watchTime, timestamp, eventId` always and in
this order, then what is known of the rest. Readers ignore what they do not know.
"""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from interactions.domain.event import Assignment, InteractionEvent, InteractionType
from interactions.domain.rules import instant, text_rules

# `\Z` and not `$`, which also matches before a line end.
_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}\Z")]
_MaybeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{0,128}\Z")]
_Uuid = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")]
# As it looks in JSON; an escaped backslash before `u0000` looks the same, so it is only a hint.
_NUL: Final = b"\\u0000"


class UnreadableError(Exception):
    """The writer's fault: bytes that are no interaction of this contract. Reading them again does not help."""


class AssignmentRecord(msgspec.Struct, frozen=True, gc=False):
    """The JSON object of an Assignment."""

    experiment: _Id
    variant: _Id


class LogRecord(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """The JSON object of an event; a field without a default is always there.

    Its bounds hold for what is read. What is written was checked before.
    """

    user_id: _Id
    video_id: _Id
    interaction_type: InteractionType
    watch_time: Annotated[float, msgspec.Meta(ge=0, le=86_400)]
    timestamp: str
    event_id: _Uuid
    feed_session_id: _MaybeId = ""
    recommendation_id: _MaybeId = ""
    position: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    algorithm: Annotated[str, msgspec.Meta(max_length=64)] = ""
    recommendation_score: float | None = None
    model_version: Annotated[str, msgspec.Meta(max_length=128)] = ""
    experiments: tuple[AssignmentRecord, ...] = ()
    rating: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None
    served_token: Annotated[str, msgspec.Meta(max_length=512)] = ""
    metadata: dict[str, str] = {}


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(LogRecord)


def encode(event: InteractionEvent) -> bytes:
    """Returns the JSON of an event; absent optional fields are left out."""
    return write(record_of(event), event.key)


def write(record: LogRecord, event_id: str) -> bytes:
    """Returns the JSON of a record, under the id that it is stored by."""
    record.event_id = event_id
    return _ENCODER.encode(record)


def record_of(event: InteractionEvent) -> LogRecord:
    """Returns an event as it is written, its id still as the client wrote it."""
    return LogRecord(
        user_id=event.user_id,
        video_id=event.video_id,
        interaction_type=event.interaction_type,
        watch_time=event.watch_time_s,
        timestamp=instant(event.event_time),
        event_id=event.event_id,
        feed_session_id=event.feed_session_id,
        recommendation_id=event.recommendation_id,
        position=event.position,
        algorithm=event.algorithm,
        recommendation_score=event.recommendation_score,
        model_version=event.model_version,
        experiments=tuple(AssignmentRecord(each.experiment, each.variant) for each in event.experiments),
        rating=event.rating,
        served_token=event.served_token,
        metadata=dict(event.metadata),
    )


def decode(value: bytes) -> InteractionEvent:
    """Reads the JSON of an event.

    Raises:
        UnreadableError: When it breaks the contract; the text says where.
    """
    return _event(*read(value))


def read(value: bytes) -> tuple[LogRecord, datetime]:
    """Reads the JSON of an event as it is, for who reads millions; returns it with its time in UTC.

    Raises:
        UnreadableError: As `decode`.
    """
    try:
        found = _DECODER.decode(value)
        time = datetime.fromisoformat(found.timestamp)
        event_time = time.astimezone(UTC) if time.tzinfo else None
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise UnreadableError(str(error)) from error
    if event_time is None:
        raise UnreadableError("timestamp: must have a zone")
    if _NUL in value and (broken := text_rules(_event(found, event_time))):
        raise UnreadableError(f"{broken[0].field}: {broken[0].reason}")
    return found, event_time


def _event(found: LogRecord, event_time: datetime) -> InteractionEvent:
    return InteractionEvent(
        user_id=found.user_id,
        video_id=found.video_id,
        interaction_type=found.interaction_type,
        watch_time_s=found.watch_time,
        event_time=event_time,
        event_id=found.event_id.lower(),
        feed_session_id=found.feed_session_id,
        recommendation_id=found.recommendation_id,
        position=found.position,
        algorithm=found.algorithm,
        recommendation_score=found.recommendation_score,
        model_version=found.model_version,
        experiments=tuple(Assignment(each.experiment, each.variant) for each in found.experiments),
        rating=found.rating,
        served_token=found.served_token,
        metadata=found.metadata,
    )
