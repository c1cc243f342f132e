"""The service over gRPC."""

from typing import Any, Final

import grpc

from bridge.explain import Explainer
from bridge.service import RecommendationService
from feed.recommendations.v1 import recommendations_pb2, recommendations_pb2_grpc
from runtime.servers.front_door import FrontDoor
from runtime.servers.grpc_server import GrpcService
from runtime.validation import require_valid

_SERVICE: Final = recommendations_pb2.DESCRIPTOR.services_by_name["RecommendationService"].full_name


class RecommendationServicer(recommendations_pb2_grpc.RecommendationServiceServicer):
    """Checks requests and hands them to the service; errors become status in the server's interceptor."""

    def __init__(self, service: RecommendationService, explainer: Explainer) -> None:
        self._service = service
        self._explainer = explainer

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
        """Answers why a video is, or would be, on a user's page."""
        del context
        require_valid(request)
        return await self._explainer.explain(request)


def front_door(max_waiting: int) -> FrontDoor:
    """Returns what measures how long requests for pages wait, and bounds how many do."""
    return FrontDoor(f"/{_SERVICE}/GetRecommendations", max_waiting=max_waiting)


def grpc_service(service: RecommendationService, explainer: Explainer, door: FrontDoor) -> GrpcService:
    """Returns the service as a process offers it."""
    add = recommendations_pb2_grpc.add_RecommendationServiceServicer_to_server
    return GrpcService(_SERVICE, RecommendationServicer(service, explainer), add, door)
