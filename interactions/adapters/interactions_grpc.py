"""The gRPC side: `feed.interactions.v1.InteractionService`."""

from collections.abc import AsyncIterator
from typing import Any, Final

from eventlog.ports import Durability
from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1 import interactions_pb2_grpc
from interactions.adapters.trace import traceparent
from interactions.domain.event import Candidate
from interactions.domain.result import EventResult, Status
from interactions.messages import candidate, result_message
from interactions.service import Recorder
from runtime.errors import InvalidArgumentError, Violation
from runtime.grpc_server import GrpcService

MAX_BATCH: Final = 100

_DURABILITIES: Final = {
    None: pb.DURABILITY_UNSPECIFIED,
    Durability.KAFKA: pb.KAFKA,
    Durability.JOURNAL: pb.JOURNAL,
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
        recorded = await self._recorder.record([candidate(request.interaction)], _traceparent(context))
        (result,) = recorded.results
        if result.status is Status.REJECTED:
            raise InvalidArgumentError(violations(result, "interaction."))
        return pb.RecordInteractionResponse(
            result=result_message(result), durability=_DURABILITIES[recorded.durability]
        )

    async def RecordInteractions(  # noqa: N802  # the contract's name
        self, request: pb.RecordInteractionsRequest, context: Any
    ) -> pb.RecordInteractionsResponse:
        """Records up to 100 events; a bad one is rejected alone."""
        require_batch_size(len(request.interactions))
        candidates = [candidate(message) for message in request.interactions]
        recorded = await self._recorder.record(candidates, _traceparent(context))
        return pb.RecordInteractionsResponse(
            results=[result_message(result) for result in recorded.results],
            durability=_DURABILITIES[recorded.durability],
        )

    async def StreamInteractions(  # noqa: N802  # the contract's name
        self, request_iterator: AsyncIterator[pb.StreamInteractionsRequest], context: Any
    ) -> pb.StreamInteractionsResponse:
        """Records events as they come."""
        recorded = await self._recorder.record_stream(_candidates(request_iterator), _traceparent(context))
        totals = recorded.totals
        return pb.StreamInteractionsResponse(
            accepted=totals.accepted,
            duplicates=totals.duplicates,
            rejected=[result_message(result) for result in totals.rejected],
            rejected_count=totals.rejected_count,
            durability=_DURABILITIES[recorded.durability],
        )


def grpc_service(recorder: Recorder) -> GrpcService:
    """Returns the service for the process's server."""
    return GrpcService(
        pb.DESCRIPTOR.services_by_name["InteractionService"].full_name,
        InteractionServicer(recorder),
        interactions_pb2_grpc.add_InteractionServiceServicer_to_server,
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


def _traceparent(context: Any) -> str:
    given = dict(context.invocation_metadata() or ()).get("traceparent", "")
    return traceparent(given if isinstance(given, str) else "")


async def _candidates(requests: AsyncIterator[pb.StreamInteractionsRequest]) -> AsyncIterator[Candidate]:
    async for request in requests:
        yield candidate(request.interaction)
