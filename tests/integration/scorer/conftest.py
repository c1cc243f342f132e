"""A running scorer, and what the trainer does to it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from runtime.models import bundle_files
from runtime.process import Service
from runtime.secrets.signing import load_or_create_private_key
from runtime.settings import load
from scorer.app import build
from scorer.settings import ScorerSettings
from tests.http import call
from tests.model_bundles import manifest_of, small_arrays


class Scorer:
    """A running scorer on a data directory, and what the trainer would do to it."""

    def __init__(self, folder: Path) -> None:
        self.models_dir = folder / "models"
        self.key = load_or_create_private_key(folder / "keys" / "model_signing.pem")
        settings = load(ScorerSettings, {"FEED_DATA_DIR": str(folder), "FEED_SCORER_MODEL_POLL_S": "0.05"})
        self.service = Service("scorer", build(settings), grpc_port=0, http_port=0)

    def connect(self) -> None:
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.service.grpc_port}")
        self.stub = scoring_pb2_grpc.ScoringServiceStub(self.channel)

    def publish(self, version: str, **changes: Any) -> None:
        bundle_files.publish(self.models_dir, manifest_of(version, **changes), small_arrays(), self.key)

    def promote(self, version: str) -> None:
        bundle_files.promote(self.models_dir, version)

    async def rank(self, user_id: str = "up", **fields: Any) -> pb.RankResponse:
        return await self.stub.Rank(pb.RankRequest(user_id=user_id, **fields), timeout=5)

    async def version(self) -> str:
        return (await self.rank()).model_version

    async def ready(self) -> int:
        return (await call(self.service.http_port, "GET", "/readyz")).status

    async def metric(self, line: str) -> bool:
        return line in (await call(self.service.http_port, "GET", "/metrics")).text


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Scorer]:
    """A scorer that has no model yet."""
    scorer = Scorer(tmp_path)
    async with scorer.service:
        scorer.connect()
        yield scorer
        await scorer.channel.close()


@pytest.fixture
async def scorer(tmp_path: Path) -> AsyncIterator[Scorer]:
    """A scorer with the model m1."""
    scorer = Scorer(tmp_path)
    scorer.publish("m1")
    scorer.promote("m1")
    async with scorer.service:
        scorer.connect()
        yield scorer
        await scorer.channel.close()
