"""What it costs to ask who calls, and to count how often, against what a page costs.

Processor time, because the clock also counts others.
"""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import structlog
import uvloop
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from bridge.app import build
from bridge.settings import BridgeSettings
from fakes.scorer.server import FakeScorer
from fakes.script.acts import Script
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc as services
from runtime.access.guard import Guard, guard_of
from runtime.process import Service
from runtime.servers.grpc_server import GrpcService
from runtime.settings import CommonSettings, load
from tests.bench import figures
from tests.integration.bridge.conftest import fill
from tests.tokens import Issuer

METHOD = "/feed.recommendations.v1.RecommendationService/GetRecommendations"
CALLERS = 16
USERS = 2_000
ROUND_S = 0.25
# The least of several is what the work takes; the rest is what other programs did to the caches.
ROUNDS = 24
# Each costs by itself.
UNLIMITED = {"FEED_LIMIT_USER_RPS": "0", "FEED_LIMIT_PEER_RPS": "0"}
# Pages are the scorer's, however slow the machine: one from trending costs less.
PATIENT = {"FEED_BRIDGE_DEADLINE_MS": "10000", "FEED_BRIDGE_ATTEMPT_TIMEOUT_MS": "9000"}


class Nothing(services.RecommendationServiceServicer):
    """Answers with nothing: all that is left is the edge."""

    async def GetRecommendations(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return pb.GetRecommendationsResponse()

    async def ExplainRecommendation(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return pb.ExplainRecommendationResponse()


class NothingApp:
    """A process that offers it."""

    def __init__(self) -> None:
        name = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name
        add = services.add_RecommendationServiceServicer_to_server
        self.grpc_services = (GrpcService(name, Nothing(), add),)
        self.http_routes: tuple[BaseRoute, ...] = ()
        self.registry = CollectorRegistry()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def not_ready(self) -> str | None:
        return None


def figure(folder: Path) -> None:
    """Measures what a call with a user's token costs more, and what a page costs, callers and scorer included."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("ERROR"))
    asked_us, limited_us, free_us, page_us, first_us = uvloop.run(_measured(folder))
    share = (asked_us - free_us) / page_us
    figures.show(
        "access",
        f"processor time that a call with a token takes more, as a share of a page's, tokens of {USERS} users",
        value=asked_us - free_us,
        unit="us",
        reference=page_us,
        ratio=share,
        target="<= 0.1 x",
        met=share <= 0.1,
        call_with_token_us=asked_us,
        call_with_limits_us=limited_us,
        limits_share=(limited_us - free_us) / page_us,
        call_without_us=free_us,
        first_call_of_a_token_us=first_us,
    )


async def _measured(folder: Path) -> tuple[float, ...]:
    issuer = Issuer(folder / "jwks.json")
    tokens = [issuer.token(f"u{number}") for number in range(USERS)]
    guard = guard_of(load(CommonSettings, {**issuer.environ, **UNLIMITED, "FEED_DATA_DIR": str(folder)}))
    limited = guard_of(load(CommonSettings, {}))
    async with (
        Service("guarded", NothingApp(), guard=guard) as asked,
        Service("limited", NothingApp(), guard=limited) as counted,
        Service("bare", NothingApp(), guard=Guard()) as free,
        _bridge(folder) as pages,
    ):
        # Each token is verified once in its life, and remembered from then on.
        gate = guard.gate(METHOD)
        assert gate is not None
        start = time.process_time()
        for token in tokens:
            await gate.enter("", [f"Bearer {token}"])
        first_us = (time.process_time() - start) / USERS * 1e6
        rounds = [
            [
                await _us(asked.grpc_port, tokens),
                await _us(counted.grpc_port, ()),
                await _us(free.grpc_port, ()),
                await _us(pages, ()),
            ]
            for _ in range(ROUNDS)
        ]
    return (*(min(each) for each in zip(*rounds, strict=True)), first_us)


@asynccontextmanager
async def _bridge(folder: Path) -> AsyncIterator[int]:
    url = f"sqlite:///{folder / 'feed.db'}"
    fill(url)
    async with FakeScorer(Script(videos=200)) as scorer:
        given = {"FEED_DATA_DIR": str(folder), "FEED_DATABASE_URL": url, "FEED_SCORER_TARGETS": scorer.target}
        async with Service("bridge", build(load(BridgeSettings, {**given, **PATIENT}))) as service:
            yield service.grpc_port


async def _us(port: int, tokens: Sequence[str]) -> float:
    """Returns the processor time of a call, in microseconds."""
    lots = random.Random(7)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = services.RecommendationServiceStub(channel)
        start = time.process_time()
        end = time.perf_counter() + ROUND_S

        async def ask() -> int:
            for asked in itertools.count():
                if time.perf_counter() > end:
                    return asked
                user = lots.randrange(USERS)
                metadata = (("authorization", f"Bearer {tokens[user]}"),) if tokens else ()
                request = pb.GetRecommendationsRequest(user_id=f"u{user}", page_size=20)
                await stub.GetRecommendations(request, metadata=metadata, timeout=60)
            raise AssertionError("itertools.count ends never")

        answered = sum(await asyncio.gather(*(ask() for _ in range(CALLERS))))
        return (time.process_time() - start) / answered * 1e6
