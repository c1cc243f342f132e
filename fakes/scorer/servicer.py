"""The scoring service by a script."""

import asyncio
import math
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from fakes.errors import ScriptedError
from fakes.scorer.catalogue import rank
from fakes.scorer.ledger import Asked, Ledger
from fakes.script.acts import Act, Does
from fakes.stage import Stage
from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from runtime.contract import CONTRACT_KEY, CONTRACT_RELEASE
from runtime.errors import FailedPreconditionError
from runtime.request_context import REQUEST_ID_KEY
from runtime.validation import require_valid

ALGORITHM: Final = "lightfm-warp"
STALE_MODEL_VERSION: Final = "fake-1"
_STALE: Final = timedelta(days=30)
_OTHER_CONTRACT: Final = "v2024.1"


class Cutter(Protocol):
    """What can cut the connection of a call."""

    def cut(self, peer: str) -> None:
        """Resets it."""

    def cut_after(self, peer: str, size: int) -> None:
        """Resets it after so many bytes more to the client."""


class ScriptedScorer(scoring_pb2_grpc.ScoringServiceServicer):
    """Does with each call of Rank or RankBatch what the script says: one act a call, however many users it has.

    Args:
        stage: The script.
        ledger: Where calls are counted.
        started_time: When this scorer took its model into use.
    """

    def __init__(self, stage: Stage, ledger: Ledger, started_time: datetime) -> None:
        self._stage = stage
        self._ledger = ledger
        self._started_time = started_time
        self._held = asyncio.Event()
        self.cutter: Cutter | None = None

    def release(self) -> None:
        """Lets the calls that hang now be answered as if nothing had been."""
        self._held.set()
        self._held = asyncio.Event()

    async def Rank(self, request: pb.RankRequest, context: Any) -> pb.RankResponse:  # noqa: N802  # the contract's
        """Ranks for one user, if the script lets it."""
        require_valid(request)
        return (await self._answer((request,), context, batch=False))[0]

    async def RankBatch(  # noqa: N802  # the contract's name
        self, request: pb.RankBatchRequest, context: Any
    ) -> pb.RankBatchResponse:
        """Ranks for several users; one act holds for all of them."""
        require_valid(request)
        return pb.RankBatchResponse(responses=await self._answer(request.requests, context, batch=True))

    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:  # noqa: N802  # the same
        """Says that a score is all of one part; the script does not move on."""
        require_valid(request)
        _require_our_contract(dict(context.invocation_metadata() or ()))
        videos = self._stage.script.videos
        scores = dict(zip(*rank(request.rank.user_id, videos, videos, ()), strict=True))
        return pb.ExplainResponse(
            explanations=[_explanation(video_id, scores.get(video_id)) for video_id in request.video_ids],
            model_version=self._model_version(stale=self._stage.stale),
            algorithm=ALGORITHM,
            known_user=True,
        )

    async def GetModelInfo(  # noqa: N802  # the contract's name
        self, request: pb.GetModelInfoRequest, context: Any
    ) -> pb.GetModelInfoResponse:
        """Describes the invented model; the script does not move on."""
        del request
        _require_our_contract(dict(context.invocation_metadata() or ()))
        stale = self._stage.stale
        return pb.GetModelInfoResponse(
            model_version=self._model_version(stale=stale),
            algorithm=ALGORITHM,
            trained_time=_timestamp(self._started_time - (_STALE if stale else timedelta(hours=1))),
            loaded_time=_timestamp(self._started_time),
            users=0,
            videos=self._stage.script.videos,
            contract_version=CONTRACT_RELEASE,
        )

    async def _answer(self, requests: Sequence[pb.RankRequest], context: Any, *, batch: bool) -> list[pb.RankResponse]:
        metadata = dict(context.invocation_metadata() or ())
        users = [_remaining_ms(request, context.time_remaining()) for request in requests]
        act, latency_s = self._stage.next_act()
        asked = [_asked(act, request, metadata, left_ms) for request, left_ms in zip(requests, users, strict=True)]
        with self._ledger.call(asked):
            _require_our_contract(metadata)
            if latency_s > 0:
                await asyncio.sleep(latency_s)
            await self._trouble(act, context)
            responses = [
                self._response(act, request, dropped=batch and left_ms is not None and left_ms <= latency_s * 1000)
                for request, left_ms in zip(requests, users, strict=True)
            ]
            if act.does is Does.HALF:
                self._cutter().cut_after(context.peer(), sum(response.ByteSize() for response in responses) // 2)
            return responses

    async def _trouble(self, act: Act, context: Any) -> None:
        """Returns only from an act that is answered with a ranking."""
        if act.refusal is not None:
            raise ScriptedError(act.refusal)
        match act.does:
            case Does.WRONG_CONTRACT:
                raise FailedPreconditionError("CONTRACT_MISMATCH", f"this scorer speaks the contract {_OTHER_CONTRACT}")
            case Does.MODEL_MISSING:
                raise FailedPreconditionError("MODEL_MISSING", "no model is in use yet")
            case Does.CRASH:
                raise ZeroDivisionError("as the script says")
            case Does.RESET:
                self._cutter().cut(context.peer())
                await asyncio.Event().wait()  # until that reaches us as a cancellation
            case Does.HANG:
                await self._held.wait()

    def _cutter(self) -> Cutter:
        if self.cutter is None:
            raise RuntimeError("a script that cuts connections was let in without a relay")
        return self.cutter

    def _response(self, act: Act, request: pb.RankRequest, *, dropped: bool) -> pb.RankResponse:
        response = pb.RankResponse(
            model_version=self._model_version(stale=act.stale_model), algorithm=ALGORITHM, dropped=dropped
        )
        if dropped or act.does is Does.EMPTY:
            return response
        excluded = {
            *request.filters.exclude_video_ids,
            *(each.video_id for each in request.recent_interactions),
            *request.compact_exclude_video_ids.splitlines(),
        }
        ranking = rank(request.user_id, self._stage.script.videos, request.k, excluded)
        response.known_user = True
        _write(response, *_spoilt(act, *ranking), compact=request.compact)
        return response

    def _model_version(self, *, stale: bool) -> str:
        return STALE_MODEL_VERSION if stale else self._stage.script.model_version


def _explanation(video_id: str, score: float | None) -> pb.Explanation:
    if score is None:
        return pb.Explanation(video_id=video_id)
    part = pb.ScorePart(name="user_item", value=score)
    return pb.Explanation(video_id=video_id, score=score, parts=[part], known_video=True)


def _spoilt(act: Act, video_ids: list[str], scores: list[float]) -> tuple[list[str], list[float]]:
    """Breaks a ranking in the way that the act says."""
    match act.does:
        case Does.RAGGED:
            return [*video_ids, "v0"], scores
        case Does.NAN:
            return video_ids, [*scores[:-1], math.nan][: len(scores)]
        case Does.DUPLICATES:
            return [*video_ids[:1], *video_ids[:-1]], scores
        case _:
            return video_ids, scores


def _write(response: pb.RankResponse, video_ids: list[str], scores: list[float], *, compact: bool) -> None:
    if compact:
        response.compact_video_ids = "\n".join(video_ids)
        response.compact_scores = struct.pack(f"<{len(scores)}f", *scores)
    else:
        response.video_ids.extend(video_ids)
        response.scores.extend(scores)


def _remaining_ms(request: pb.RankRequest, call_remaining_s: float | None) -> float | None:
    """Returns how long the caller still waits for this user's ranking; None: as long as it takes."""
    bounds = [] if call_remaining_s is None else [call_remaining_s * 1000]
    if request.timeout_ms:
        bounds.append(float(request.timeout_ms))
    return min(bounds, default=None)


def _asked(act: Act, request: pb.RankRequest, metadata: dict[str, Any], left_ms: float | None) -> Asked:
    return Asked(
        act.label,
        request.request_id or metadata.get(REQUEST_ID_KEY, ""),
        metadata.get(CONTRACT_KEY, ""),
        None if left_ms is None else round(left_ms, 1),
    )


def _require_our_contract(metadata: dict[str, Any]) -> None:
    if metadata.get(CONTRACT_KEY, CONTRACT_RELEASE) != CONTRACT_RELEASE:
        raise FailedPreconditionError("CONTRACT_MISMATCH", f"this scorer speaks the contract {CONTRACT_RELEASE}")


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time.astimezone(UTC))
    return message
