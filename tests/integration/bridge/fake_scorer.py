"""A scoring server by a script, on real gRPC with the real server edge."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

from prometheus_client import CollectorRegistry

from feed.scoring.v1 import scoring_pb2 as pb
from feed.scoring.v1 import scoring_pb2_grpc
from runtime.errors import FailedPreconditionError, ResourceExhaustedError, UnavailableError
from runtime.grpc_server import GrpcService
from runtime.process import Service

Behaviour = Callable[["FakeScorer", pb.RankRequest], Awaitable[pb.RankResponse]]

VIDEOS = 60


async def ranks(scorer: "FakeScorer", request: pb.RankRequest) -> pb.RankResponse:
    """Answers as a model would."""
    count = min(request.k, VIDEOS)
    return pb.RankResponse(
        video_ids=[f"v{number}" for number in range(count)],
        scores=[1.0 / (1 + number) for number in range(count)],
        model_version=scorer.model_version,
        algorithm="lightfm-warp",
        known_user=True,
    )


async def hangs(_scorer: "FakeScorer", _request: pb.RankRequest) -> pb.RankResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def knows_nobody(_scorer: "FakeScorer", _request: pb.RankRequest) -> pb.RankResponse:
    """Has no ranking for this user."""
    return pb.RankResponse(model_version="m1", algorithm="lightfm-warp")


async def crashes(_scorer: "FakeScorer", _request: pb.RankRequest) -> pb.RankResponse:
    """Has a bug."""
    raise ZeroDivisionError


def slow(seconds: float) -> Behaviour:
    """Answers late."""

    async def act(scorer: "FakeScorer", request: pb.RankRequest) -> pb.RankResponse:
        await asyncio.sleep(seconds)
        return await ranks(scorer, request)

    return act


def waits_for(gate: asyncio.Event) -> Behaviour:
    """Answers once it is let go."""

    async def act(scorer: "FakeScorer", request: pb.RankRequest) -> pb.RankResponse:
        await gate.wait()
        return await ranks(scorer, request)

    return act


def fails(times: int, error: Callable[[], Exception]) -> Behaviour:
    """Fails some times, then ranks."""
    left = times

    async def act(scorer: "FakeScorer", request: pb.RankRequest) -> pb.RankResponse:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error()
        return await ranks(scorer, request)

    return act


def unavailable() -> Exception:
    return UnavailableError("DOWN", "down")


def no_model() -> Exception:
    return FailedPreconditionError("MODEL_MISSING", "no model yet")


def other_contract() -> Exception:
    return FailedPreconditionError("CONTRACT_MISMATCH", "another contract")


def busy() -> Exception:
    return ResourceExhaustedError("BUSY", "too much")


def busy_for_a_moment() -> Exception:
    return ResourceExhaustedError("BUSY", "too much", retry_after_s=0.005)


class FakeScorer(scoring_pb2_grpc.ScoringServiceServicer):
    """The server; `behaviour` may be changed at any time.

    Args:
        port: 0 takes a free one; it is kept over restarts.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.behaviour: Behaviour = ranks
        self.model_version = "m1"
        self.time_remaining_s: list[float] = []
        self.metadata: list[dict[str, Any]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._service: Service | None = None

    @property
    def calls(self) -> int:
        return len(self.time_remaining_s)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def Rank(self, request: pb.RankRequest, context: Any) -> pb.RankResponse:  # noqa: N802
        self.time_remaining_s.append(context.time_remaining())
        self.metadata.append(dict(context.invocation_metadata()))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.behaviour(self, request)
        finally:
            self.in_flight -= 1

    async def RankBatch(self, request: pb.RankBatchRequest, context: Any) -> pb.RankBatchResponse:  # noqa: N802
        raise NotImplementedError

    async def GetModelInfo(self, request: pb.GetModelInfoRequest, context: Any) -> pb.GetModelInfoResponse:  # noqa: N802
        raise NotImplementedError

    async def start(self) -> None:
        self._service = Service("scorer", _App(self), grpc_port=self.port, drain_s=0)
        await self._service.__aenter__()
        self.port = self._service.grpc_port

    async def kill(self) -> None:
        """Ends it at once, with calls under way."""
        if self._service is not None:
            await self._service.__aexit__(None, None, None)
            self._service = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()


class _App:
    def __init__(self, scorer: FakeScorer) -> None:
        name = pb.DESCRIPTOR.services_by_name["ScoringService"].full_name
        self.grpc_services = [GrpcService(name, scorer, scoring_pb2_grpc.add_ScoringServiceServicer_to_server)]
        self.http_routes: list[Any] = []
        self.registry = CollectorRegistry()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def not_ready(self) -> str | None:
        return None
