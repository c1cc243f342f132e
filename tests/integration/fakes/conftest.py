"""A scripted scorer on loopback, and a client of it."""

import math
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import structlog

from fakes.scorer.server import FakeScorer
from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from tests.http import Answer, call

CLIENT_TIMEOUT_S = 5.0
PROMPT = (("grpc.enable_retries", 0), ("grpc.initial_reconnect_backoff_ms", 100))  # no second try that nobody counts


@dataclass
class Caller:
    """A client of the scripted scorer."""

    scorer: FakeScorer
    stub: "scoring_pb2_grpc.ScoringServiceAsyncStub"  # known to type checkers only

    async def rank(
        self, user_id: str = "u1", k: int = 5, timeout_s: float | None = CLIENT_TIMEOUT_S, **metadata: str
    ) -> pb.RankResponse:
        pairs = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        return await self.stub.Rank(pb.RankRequest(user_id=user_id, k=k), timeout=timeout_s, metadata=pairs)

    async def rank_batch(self, requests: Sequence[pb.RankRequest]) -> Sequence[pb.RankResponse]:
        answer = await self.stub.RankBatch(pb.RankBatchRequest(requests=requests), timeout=CLIENT_TIMEOUT_S)
        return answer.responses

    async def http(self, method: str, path: str, body: str | None = None) -> Answer:
        return await call(self.scorer.http_port, method, path, body.encode() if body else None)


def shape(ranking: pb.RankResponse) -> tuple[int, int, bool]:
    """How many ids, how many scores, and whether all scores are numbers."""
    return len(ranking.video_ids), len(ranking.scores), not any(map(math.isnan, ranking.scores))


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged; kept, because printing a traceback takes long."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """A scorer with the relay, and a client that does not retry."""
    async with (
        FakeScorer(relay=True) as scorer,
        grpc.aio.insecure_channel(scorer.target, options=PROMPT) as channel,
    ):
        yield Caller(scorer, scoring_pb2_grpc.ScoringServiceStub(channel))
