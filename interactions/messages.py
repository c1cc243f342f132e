"""The contract's messages, checked and made into records."""

import functools
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from feed.interactions.v1 import interactions_pb2 as pb
from interactions.domain.event import Assignment, BrokenRule, InteractionEvent, InteractionType, Refusal
from interactions.domain.log_record import AssignmentRecord, LogRecord, record_of
from interactions.domain.quick_check import Window, surely_fine
from interactions.domain.rules import broken_rules
from runtime.validation import check

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES: Final = {
    number: InteractionType(name) for name, number in pb.InteractionType.items() if name in InteractionType.__members__
}
_NANOS_A_MS: Final = 1_000_000


def read(message: pb.Interaction, window: Window) -> LogRecord | Refusal:
    """Checks a message by all rules and makes a record of it, its id still as the client wrote it.

    Returns:
        The record, or a refusal with every broken rule.
    """
    interaction_type, time = _TYPES.get(message.interaction_type), message.timestamp
    seconds, nanos = time.seconds, time.nanos
    if interaction_type is None or not window.surely_holds(seconds, nanos):
        return _judged(message, window.now)
    # By place and not by name, each field read once, no list that stays empty: this is done for every event.
    experiments, metadata = message.experiments, message.metadata
    record = LogRecord(
        message.user_id,
        message.video_id,
        interaction_type,
        message.watch_time_s,
        f"{_second(seconds)}.{nanos // _NANOS_A_MS:03}Z",
        message.event_id,
        message.feed_session_id,
        message.recommendation_id,
        message.position or None,
        message.algorithm,
        message.recommendation_score if message.HasField("recommendation_score") else None,
        message.model_version,
        tuple([AssignmentRecord(each.experiment, each.variant) for each in experiments]) if experiments else (),
        message.rating if message.HasField("rating") else None,
        message.served_token,
        {key: metadata[key] for key in metadata} if metadata else {},  # dict() takes twice as long
    )
    return record if surely_fine(record) else _judged(message, window.now)


def _judged(message: pb.Interaction, now: datetime) -> LogRecord | Refusal:
    """Does the same by the rules themselves, which have a text for each that is broken."""
    broken = tuple(BrokenRule(violation.field, violation.reason) for violation in check(message))
    if not broken:
        event = _event(message)
        broken = broken_rules(event, now)
        if not broken:
            return record_of(event)
    return Refusal(message.event_id, broken, _TYPES.get(message.interaction_type))


def _event(message: pb.Interaction) -> InteractionEvent:
    return InteractionEvent(
        user_id=message.user_id,
        video_id=message.video_id,
        interaction_type=_TYPES[message.interaction_type],
        watch_time_s=message.watch_time_s,
        event_time=_time(message.timestamp),
        event_id=message.event_id,
        feed_session_id=message.feed_session_id,
        recommendation_id=message.recommendation_id,
        position=message.position or None,
        algorithm=message.algorithm,
        recommendation_score=message.recommendation_score if message.HasField("recommendation_score") else None,
        model_version=message.model_version,
        experiments=tuple(Assignment(each.experiment, each.variant) for each in message.experiments),
        rating=message.rating if message.HasField("rating") else None,
        served_token=message.served_token,
        metadata=dict(message.metadata),
    )


def _time(timestamp: Timestamp) -> datetime:
    return _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)


@functools.lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    """Returns a Unix second as RFC 3339 up to its seconds; most events are of the last few thousand."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
