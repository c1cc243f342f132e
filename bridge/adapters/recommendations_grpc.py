"""The service over gRPC."""

from http import HTTPStatus
from typing import Any, Final

import grpc

from bridge.service import RecommendationService
from feed.recommendations.v1 import recommendations_pb2, recommendations_pb2_grpc
from runtime.errors import RequestError
from runtime.front_door import FrontDoor
from runtime.grpc_server import GrpcService
from runtime.validation import require_valid

_SERVICE: Final = recommendations_pb2.DESCRIPTOR.services_by_name["RecommendationService"].full_name


class UnimplementedError(RequestError):
    """The contract names this call, and this release does not answer it; a later one does."""

    grpc_code = grpc.StatusCode.UNIMPLEMENTED
    http_status = HTTPStatus.NOT_IMPLEMENTED


class RecommendationServicer(recommendations_pb2_grpc.RecommendationServiceServicer):
    """Checks requests and hands them to the service; errors become status in the server's interceptor."""

    def __init__(self, service: RecommendationService) -> None:
        self._service = service

    async def GetRecommendations(  # noqa: N802  # the contract's name
        self,
        request: recommendations_pb2.GetRecommendationsRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> recommendations_pb2.GetRecommendationsResponse:
        """Answers with a page."""
        require_valid(request)
        return await self._service.get_recommendations(request, context.time_remaining())

    async def ExplainRecommendation(  # noqa: N802
        self,
        request: recommendations_pb2.ExplainRecommendationRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> recommendations_pb2.ExplainRecommendationResponse:
        """Says UNIMPLEMENTED: scorers do not yet take a score apart."""
        del request, context
        raise UnimplementedError("UNIMPLEMENTED", "scores cannot be explained yet")


def front_door(max_waiting: int) -> FrontDoor:
    """Returns what measures how long requests for pages wait, and bounds how many do."""
    return FrontDoor(f"/{_SERVICE}/GetRecommendations", max_waiting=max_waiting)


def grpc_service(service: RecommendationService, door: FrontDoor) -> GrpcService:
    """Returns the service as a process offers it."""
    add = recommendations_pb2_grpc.add_RecommendationServiceServicer_to_server
    return GrpcService(_SERVICE, RecommendationServicer(service), add, door)
