"""The gRPC side: `feed.interactions.v1.InteractionService`."""

from collections.abc import AsyncIterator
from typing import Any, Final

from eventlog.ports import Durability
from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1 import interactions_pb2_grpc
from interactions.adapters.trace import traceparent
from interactions.domain.result import EventResult, Status
from interactions.service import Recorder
from runtime.errors import InvalidArgumentError, Violation
from runtime.servers.grpc_server import GrpcService

MAX_BATCH: Final = 100
# As a body over HTTP; a stream's messages are of one event each, which has its own bound.
MAX_MESSAGE_BYTES: Final = 65_536

_DURABILITIES: Final = {
    None: pb.DURABILITY_UNSPECIFIED,
    Durability.KAFKA: pb.KAFKA,
    Durability.JOURNAL: pb.JOURNAL,
}
_STATUSES: Final = {
    Status.ACCEPTED: pb.ACCEPTED,
    Status.DUPLICATE: pb.DUPLICATE,
    Status.REJECTED: pb.REJECTED,
}


class InteractionServicer(interactions_pb2_grpc.InteractionServiceServicer):
    """Answers by the Recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def RecordInteraction(  # noqa: N802  # the contract's name
        self, request: pb.RecordInteractionRequest, context: Any
    ) -> pb.RecordInteractionResponse:
        """Records one event; refuses the call when the event breaks a rule."""
        if not request.HasField("interaction"):
            raise InvalidArgumentError([Violation("interaction", "is required")])
        recorded = await self._recorder.record((request.interaction,), _traceparent(context))
        result = recorded.results[0]
        if result.status is Status.REJECTED:
            raise InvalidArgumentError(violations(result, "interaction."))
        answer = pb.RecordInteractionResponse(durability=_DURABILITIES[recorded.durability])
        _fill(answer.result, result)
        return answer

    async def RecordInteractions(  # noqa: N802  # the contract's name
        self, request: pb.RecordInteractionsRequest, context: Any
    ) -> pb.RecordInteractionsResponse:
        """Records up to 100 events; a bad one is rejected alone."""
        require_batch_size(len(request.interactions))
        recorded = await self._recorder.record(request.interactions, _traceparent(context))
        answer = pb.RecordInteractionsResponse(durability=_DURABILITIES[recorded.durability])
        for result in recorded.results:
            _fill(answer.results.add(), result)
        return answer

    async def StreamInteractions(  # noqa: N802  # the contract's name
        self, request_iterator: AsyncIterator[pb.StreamInteractionsRequest], context: Any
    ) -> pb.StreamInteractionsResponse:
        """Records events as they come."""
        recorded = await self._recorder.record_stream(_events(request_iterator), _traceparent(context))
        totals = recorded.totals
        answer = pb.StreamInteractionsResponse(
            accepted=totals.accepted,
            duplicates=totals.duplicates,
            rejected_count=totals.rejected_count,
            durability=_DURABILITIES[recorded.durability],
        )
        for result in totals.rejected:
            _fill(answer.rejected.add(), result)
        return answer


def grpc_service(recorder: Recorder) -> GrpcService:
    """Returns the service for the process's server."""
    return GrpcService(
        pb.DESCRIPTOR.services_by_name["InteractionService"].full_name,
        InteractionServicer(recorder),
        interactions_pb2_grpc.add_InteractionServiceServicer_to_server,
        max_message_bytes=MAX_MESSAGE_BYTES,
    )


def require_batch_size(count: int) -> None:
    """Raises InvalidArgumentError unless a batch holds 1 to 100 events."""
    if not 1 <= count <= MAX_BATCH:
        raise InvalidArgumentError([Violation("interactions", f"must hold 1 to {MAX_BATCH} events, holds {count}")])


def violations(result: EventResult, prefix: str = "") -> list[Violation]:
    """Returns the broken rules of a rejected event, its fields below `prefix`."""
    return [
        Violation((prefix + each.field) if each.field != "interaction" else each.field, each.reason)
        for each in result.broken
    ]


def _fill(message: pb.RecordResult, result: EventResult) -> None:
    """Writes a result, with its first reason, into the contract's message."""
    message.event_id = result.event_id
    message.status = _STATUSES[result.status]
    if result.broken:
        message.field = result.broken[0].field
        message.reason = result.broken[0].reason


def _traceparent(context: Any) -> str:
    given = next((value for key, value in context.invocation_metadata() or () if key == "traceparent"), "")
    return traceparent(given) if given and isinstance(given, str) else ""


async def _events(requests: AsyncIterator[pb.StreamInteractionsRequest]) -> AsyncIterator[pb.Interaction]:
    async for request in requests:
        yield request.interaction
