"""The gRPC side: `feed.scoring.v1.ScoringService`."""

import struct
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE
from runtime.errors import FailedPreconditionError
from runtime.models.model_bundle import ModelBundle
from runtime.servers.grpc_server import GrpcService
from runtime.validation import require_valid
from scorer.adapters.wishes import wish_of
from scorer.domain.explain import Explanation
from scorer.domain.parts import PART_NAMES
from scorer.domain.wish import Ranking
from scorer.service import Ranked, ScoringService

_LOG = structlog.get_logger(__name__)


class ScoringServicer(scoring_pb2_grpc.ScoringServiceServicer):
    """Answers by the ScoringService."""

    def __init__(self, service: ScoringService) -> None:
        self._service = service

    async def Rank(self, request: pb.RankRequest, context: Any) -> pb.RankResponse:  # noqa: N802  # the contract's
        """Ranks for one user."""
        _require_our_contract(context)
        require_valid(request)
        ranked = await self._service.rank([wish_of(request)], context.time_remaining())
        return _responses([request], ranked)[0]

    async def RankBatch(  # noqa: N802  # the contract's name
        self, request: pb.RankBatchRequest, context: Any
    ) -> pb.RankBatchResponse:
        """Ranks for several users, in order."""
        _require_our_contract(context)
        require_valid(request)
        _LOG.debug("scorer.batch", request_ids=[each.request_id for each in request.requests])
        ranked = await self._service.rank([wish_of(each) for each in request.requests], context.time_remaining())
        return pb.RankBatchResponse(responses=_responses(request.requests, ranked))

    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:  # noqa: N802  # the contract's
        """Says what the scores of some videos are made of."""
        _require_our_contract(context)
        require_valid(request)
        told = await self._service.explain(wish_of(request.rank), request.video_ids)
        return pb.ExplainResponse(
            explanations=[_explanation(each) for each in told.explained.explanations],
            model_version=told.bundle.manifest.model_version,
            algorithm=told.bundle.manifest.algorithm,
            known_user=told.explained.known,
        )

    async def GetModelInfo(  # noqa: N802  # the contract's name
        self, request: pb.GetModelInfoRequest, context: Any
    ) -> pb.GetModelInfoResponse:
        """Describes the model in use."""
        del request
        _require_our_contract(context)
        model = self._service.model()
        bundle = model.ranker.bundle
        manifest = bundle.manifest
        return pb.GetModelInfoResponse(
            model_version=manifest.model_version,
            algorithm=manifest.algorithm,
            trained_time=_timestamp(manifest.created_time),
            loaded_time=_timestamp(model.loaded_time),
            users=len(bundle.arrays.user_ids),
            videos=len(bundle.arrays.video_ids),
            dimensions=manifest.dimensions,
            metrics=manifest.metrics,
            sha256=manifest.arrays_sha256,
            contract_version=CONTRACT_RELEASE,
        )


def grpc_service(service: ScoringService) -> GrpcService:
    """Returns the service for the process's server."""
    return GrpcService(
        pb.DESCRIPTOR.services_by_name["ScoringService"].full_name,
        ScoringServicer(service),
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server,
    )


def _require_our_contract(context: Any) -> None:
    """Raises unless the caller speaks our release of the contract, or does not say which."""
    given = dict(context.invocation_metadata() or ()).get(CONTRACT_KEY, CONTRACT_RELEASE)
    if given != CONTRACT_RELEASE:
        raise FailedPreconditionError("CONTRACT_MISMATCH", f"this scorer speaks the contract {CONTRACT_RELEASE}")


def _explanation(given: Explanation) -> pb.Explanation:
    return pb.Explanation(
        video_id=given.video_id,
        score=given.score,
        parts=[pb.ScorePart(name=name, value=value) for name, value in given.parts],
        because_video_ids=given.because,
        removed_by=given.removed_by.value if given.removed_by else "",
        known_video=given.known,
    )


@lru_cache(maxsize=2)
def _unix_ms(time: datetime) -> int:
    """Returns Unix milliseconds; of one model it is asked again and again."""
    return int(time.timestamp() * 1000)


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _responses(requests: Iterable[pb.RankRequest], ranked: Ranked) -> list[pb.RankResponse]:
    data_until_ms = _unix_ms(ranked.data_until)
    answers = zip(requests, ranked.bundles, ranked.rankings, strict=True)
    return [_response(request, bundle, ranking, data_until_ms) for request, bundle, ranking in answers]


def _response(request: pb.RankRequest, bundle: ModelBundle, ranking: Ranking, data_until_ms: int) -> pb.RankResponse:
    response = pb.RankResponse(
        model_version=bundle.manifest.model_version,
        algorithm=bundle.manifest.algorithm,
        known_user=ranking.known,
        dropped=ranking.dropped,
        data_until_ms=data_until_ms,
    )
    if request.compact:
        response.compact_video_ids = "\n".join(ranking.video_ids)
        response.compact_scores = struct.pack(f"<{len(ranking.scores)}f", *ranking.scores)
    else:
        response.video_ids.extend(ranking.video_ids)
        response.scores.extend(ranking.scores)
    if ranking.parts:
        response.part_names.extend(PART_NAMES)
        response.compact_parts = ranking.parts
    if ranking.explored:
        response.explored.extend(ranking.explored)
        response.propensities.extend(ranking.propensities)
    if ranking.removed:
        response.removed.update(ranking.removed)
    return response
