"""The gRPC side: `feed.insights.v1.CorrectionService`."""

from typing import Any

from feed.insights.v1 import corrections_pb2 as pb
from feed.insights.v1 import corrections_pb2_grpc
from insights.correction_service import CorrectionService
from runtime.servers.grpc_server import GrpcService
from storage.audit import Door


class CorrectionServicer(corrections_pb2_grpc.CorrectionServiceServicer):
    """Hands requests to the service; errors become status in the server."""

    def __init__(self, service: CorrectionService) -> None:
        self._service = service

    async def CreateCorrection(  # noqa: N802  # the contract's name
        self, request: pb.CreateCorrectionRequest, context: Any
    ) -> pb.CreateCorrectionResponse:
        """Adds a correction."""
        del context
        return await self._service.create_correction(request, Door.GRPC)

    async def ListCorrections(  # noqa: N802
        self, request: pb.ListCorrectionsRequest, context: Any
    ) -> pb.ListCorrectionsResponse:
        """Lists corrections."""
        del context
        return await self._service.list_corrections(request)

    async def DeactivateCorrection(  # noqa: N802
        self, request: pb.DeactivateCorrectionRequest, context: Any
    ) -> pb.DeactivateCorrectionResponse:
        """Switches a correction off."""
        del context
        return await self._service.deactivate_correction(request, Door.GRPC)

    async def GetCorrectionEffect(  # noqa: N802
        self, request: pb.GetCorrectionEffectRequest, context: Any
    ) -> pb.GetCorrectionEffectResponse:
        """Tells what a correction did."""
        del context
        return await self._service.get_correction_effect(request)


def grpc_service(service: CorrectionService) -> GrpcService:
    """Returns the service for the process's server."""
    return GrpcService(
        pb.DESCRIPTOR.services_by_name["CorrectionService"].full_name,
        CorrectionServicer(service),
        corrections_pb2_grpc.add_CorrectionServiceServicer_to_server,
    )
