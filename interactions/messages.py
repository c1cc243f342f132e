"""Events between the contract's messages and this package's own values."""

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from feed.interactions.v1 import interactions_pb2 as pb
from interactions.domain.event import Assignment, BrokenRule, Candidate, InteractionEvent, InteractionType, Refusal
from interactions.domain.result import EventResult, Status
from runtime.validation import check

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_TYPES: Final = {
    number: InteractionType(name) for name, number in pb.InteractionType.items() if name in InteractionType.__members__
}
_STATUSES: Final = {
    Status.ACCEPTED: pb.ACCEPTED,
    Status.DUPLICATE: pb.DUPLICATE,
    Status.REJECTED: pb.REJECTED,
}


def candidate(message: pb.Interaction) -> Candidate:
    """Checks a message by the rules of the proto files and turns it into an event, or a refusal with every reason."""
    violations = check(message)
    if violations:
        broken = tuple(BrokenRule(violation.field, violation.reason) for violation in violations)
        return Refusal(message.event_id, broken, _TYPES.get(message.interaction_type))
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
    """Returns the time, or the last or first there is for one that no calendar holds: the rules refuse all three."""
    try:
        return _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)
    except OverflowError:
        return _LAST if timestamp.seconds > 0 else _FIRST


def result_message(result: EventResult) -> pb.RecordResult:
    """Returns the contract's message of a result, with its first reason."""
    reason = result.broken[0] if result.broken else BrokenRule("", "")
    return pb.RecordResult(
        event_id=result.event_id, status=_STATUSES[result.status], reason=reason.reason, field=reason.field
    )
