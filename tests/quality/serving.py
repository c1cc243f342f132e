"""Rankings as they are served: a published bundle, a scorer that takes it, and what a bridge asks of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc
import numpy as np

from bridge import wire
from bridge.settings import BridgeSettings
from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from runtime.models import bundle_files
from runtime.models.model_bundle import Codes, ModelArrays, find_texts
from runtime.process import Service
from runtime.secrets.signing import load_or_create_private_key
from runtime.settings import load
from scorer.app import build
from scorer.settings import ScorerSettings
from tests.model_bundles import manifest_of
from tests.polling import until
from trainer.domain.ranking import DEEP

_USERS_A_CALL: Final = 256
_CALL_TIMEOUT_S: Final = 60.0


def publish(folder: Path, arrays: ModelArrays) -> None:
    """Publishes a model under the data directory `folder`, and lets it serve."""
    key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
    manifest = manifest_of("m1", dimensions=arrays.item_factors.shape[1] - 2)
    bundle_files.publish(folder / "models", manifest, arrays, key)
    bundle_files.promote(folder / "models", "m1")


def default_stages() -> pb.Stages:
    """Returns what a bridge asks to be done with scores, unless it is set otherwise."""
    return load(BridgeSettings, {}).wish_policy().stages


async def served(folder: Path, arrays: ModelArrays, users: Codes, stages: pb.Stages) -> Codes:
    """Asks a scorer for the rankings of many users.

    Args:
        folder: Data directory with the published model.
        arrays: The model.
        users: user_index of the users.
        stages: What is done with the scores.

    Returns:
        int32 item_index, shape (len(users), DEEP), best first, -1 where a ranking ends.
    """
    settings = load(ScorerSettings, {"FEED_DATA_DIR": str(folder)})
    async with (
        Service("scorer", build(settings), grpc_port=0, http_port=0) as service,
        grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel,
    ):
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        await until(lambda: _has_model(stub), expected=True)
        rankings: list[Sequence[str]] = []
        for start in range(0, len(users), _USERS_A_CALL):
            asked = [_wish(arrays, int(user), stages) for user in users[start : start + _USERS_A_CALL]]
            answer = await stub.RankBatch(pb.RankBatchRequest(requests=asked), timeout=_CALL_TIMEOUT_S)
            rankings += [ranking.video_ids for each in answer.responses if (ranking := wire.ranked(each))]
    return _rows(arrays, rankings)


async def _has_model(stub: "scoring_pb2_grpc.ScoringServiceAsyncStub") -> bool:
    try:
        await stub.GetModelInfo(pb.GetModelInfoRequest(), timeout=_CALL_TIMEOUT_S)
    except grpc.aio.AioRpcError:
        return False
    return True


def _wish(arrays: ModelArrays, user: int, stages: pb.Stages) -> pb.RankRequest:
    return pb.RankRequest(user_id=arrays.user_ids[user].decode(), k=DEEP, compact=True, seed=user + 1, stages=stages)


def _rows(arrays: ModelArrays, rankings: Sequence[Sequence[str]]) -> Codes:
    top = np.full((len(rankings), DEEP), -1, np.int32)
    for row, ranking in zip(top, rankings, strict=True):
        row[: len(ranking)] = find_texts(arrays.video_ids, ranking)
    return top
