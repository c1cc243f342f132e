"""The gRPC side: `feed.scoring.v1.ScoringService`."""

import struct
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from feed.common.v1 import common_pb2
from feed.interactions.v1 import interactions_pb2
from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE
from runtime.errors import FailedPreconditionError
from runtime.grpc_server import GrpcService
from runtime.model_bundle import DISLIKED_RATING, LIKED_RATING, ModelBundle
from runtime.validation import require_valid
from scorer.domain.filters import NO_FILTERS, Filters
from scorer.domain.fold_in import Did, Recent
from scorer.domain.ranker import Ranking, Wish
from scorer.service import ScoringService

_LOG = structlog.get_logger(__name__)

# A click alone tells that the cover worked, not that the video did.
_DID: Final = {
    interactions_pb2.VIEW: Did.WATCHED,
    interactions_pb2.LIKE: Did.LIKED,
    interactions_pb2.SHARE: Did.LIKED,
    interactions_pb2.COMMENT: Did.LIKED,
    interactions_pb2.FOLLOW: Did.LIKED,
    interactions_pb2.SKIP: Did.DISLIKED,
    interactions_pb2.HIDE: Did.DISLIKED,
}


class ScoringServicer(scoring_pb2_grpc.ScoringServiceServicer):
    """Answers by the ScoringService."""

    def __init__(self, service: ScoringService) -> None:
        self._service = service

    async def Rank(self, request: pb.RankRequest, context: Any) -> pb.RankResponse:  # noqa: N802  # the contract's
        """Ranks for one user."""
        _require_our_contract(context)
        require_valid(request)
        ranked = await self._service.rank([_wish(request)], context.time_remaining())
        return _response(request, ranked.bundle, ranked.rankings[0])

    async def RankBatch(  # noqa: N802  # the contract's name
        self, request: pb.RankBatchRequest, context: Any
    ) -> pb.RankBatchResponse:
        """Ranks for several users, in order."""
        _require_our_contract(context)
        require_valid(request)
        _LOG.debug("scorer.batch", request_ids=[each.request_id for each in request.requests])
        ranked = await self._service.rank([_wish(each) for each in request.requests], context.time_remaining())
        pairs = zip(request.requests, ranked.rankings, strict=True)
        return pb.RankBatchResponse(responses=[_response(asked, ranked.bundle, ranking) for asked, ranking in pairs])

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


def _wish(request: pb.RankRequest) -> Wish:
    excluded = [*request.filters.exclude_video_ids, *(each.video_id for each in request.recent_interactions)]
    filters = _filters(request.filters) if request.HasField("filters") else NO_FILTERS
    recent = [_recent(each) for each in request.recent_interactions]
    return Wish(request.user_id, request.k, filters, excluded, recent, request.timeout_ms / 1000 or None)


def _recent(given: interactions_pb2.Interaction) -> Recent:
    return Recent(given.video_id, _did(given), given.watch_time_s, given.timestamp.ToMilliseconds())


def _did(given: interactions_pb2.Interaction) -> Did:
    if given.interaction_type != interactions_pb2.RATE:
        return _DID.get(given.interaction_type, Did.NOTHING)
    if given.rating >= LIKED_RATING:
        return Did.LIKED
    return Did.DISLIKED if given.rating <= DISLIKED_RATING else Did.NOTHING


def _filters(given: common_pb2.VideoFilters) -> Filters:
    return Filters(
        tuple(given.include_tags),
        tuple(given.exclude_tags),
        tuple(given.exclude_author_ids),
        tuple(given.languages),
        given.max_duration_s,
        _epoch_ms(given.published_after) if given.HasField("published_after") else None,
    )


def _epoch_ms(time: Timestamp) -> int:
    """Rounds up, so that a video published within the millisecond before does not pass."""
    return -(-time.ToNanoseconds() // 1_000_000)


@lru_cache(maxsize=2)
def _unix_ms(time: datetime) -> int:
    """Returns Unix milliseconds; of one model it is asked again and again."""
    return int(time.timestamp() * 1000)


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _response(request: pb.RankRequest, bundle: ModelBundle, ranking: Ranking) -> pb.RankResponse:
    response = pb.RankResponse(
        model_version=bundle.manifest.model_version,
        algorithm=bundle.manifest.algorithm,
        known_user=ranking.known,
        dropped=ranking.dropped,
        data_until_ms=_unix_ms(bundle.manifest.data_until),
    )
    if request.compact:
        response.compact_video_ids = "\n".join(ranking.video_ids)
        response.compact_scores = struct.pack(f"<{len(ranking.scores)}f", *ranking.scores)
    else:
        response.video_ids.extend(ranking.video_ids)
        response.scores.extend(ranking.scores)
    return response
