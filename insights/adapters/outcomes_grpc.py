"""The gRPC side: `feed.insights.v1.OutcomeService`."""

from typing import Any

from feed.insights.v1 import outcomes_pb2 as pb
from feed.insights.v1 import outcomes_pb2_grpc
from insights.service import OutcomeService
from runtime.servers.grpc_server import GrpcService


class OutcomeServicer(outcomes_pb2_grpc.OutcomeServiceServicer):
    """Hands requests to the service; errors become status in the server."""

    def __init__(self, service: OutcomeService) -> None:
        self._service = service

    async def TrackOutcome(  # noqa: N802  # the contract's name
        self, request: pb.TrackOutcomeRequest, context: Any
    ) -> pb.TrackOutcomeResponse:
        """Takes an outcome."""
        del context
        return await self._service.track_outcome(request)

    async def GetAcceptanceRate(  # noqa: N802
        self, request: pb.GetAcceptanceRateRequest, context: Any
    ) -> pb.GetAcceptanceRateResponse:
        """Answers which share was accepted."""
        del context
        return await self._service.get_acceptance_rate(request)

    async def GetAlgorithmPerformance(  # noqa: N802
        self, request: pb.GetAlgorithmPerformanceRequest, context: Any
    ) -> pb.GetAlgorithmPerformanceResponse:
        """Answers how each algorithm does."""
        del context
        return await self._service.get_algorithm_performance(request)

    async def GetFunnel(  # noqa: N802
        self, request: pb.GetFunnelRequest, context: Any
    ) -> pb.GetFunnelResponse:
        """Answers how far served videos came."""
        del context
        return await self._service.get_funnel(request)

    async def GetTrends(  # noqa: N802
        self, request: pb.GetTrendsRequest, context: Any
    ) -> pb.GetTrendsResponse:
        """Answers the same of each day."""
        del context
        return await self._service.get_trends(request)


def grpc_service(service: OutcomeService) -> GrpcService:
    """Returns the service for the process's server."""
    return GrpcService(
        pb.DESCRIPTOR.services_by_name["OutcomeService"].full_name,
        OutcomeServicer(service),
        outcomes_pb2_grpc.add_OutcomeServiceServicer_to_server,
    )
