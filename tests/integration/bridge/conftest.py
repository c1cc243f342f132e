"""A bridge on loopback, with a scripted scorer and a small catalogue."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
import structlog

from bridge.app import BridgeApp, build
from bridge.settings import BridgeSettings
from fakes.scorer.server import FakeScorer
from fakes.script.acts import Script
from feed.recommendations.v1 import recommendations_pb2 as pb
from feed.recommendations.v1 import recommendations_pb2_grpc
from runtime.process import Service
from runtime.settings import load
from storage.database import sync_engine, upgrade
from storage.tables import trending, videos
from tests.polling import until

PUBLISHED = datetime(2022, 4, 1, tzinfo=UTC)
SCORED_VIDEOS = 60  # three pages
CLIENT_TIMEOUT_S = 10.0  # far beyond the bridge's own deadline: a late answer shows in budget_left_ms


# The policy of production, stretched: a busy test machine may stop a process for longer than its 10 ms of reserve.
# What was served comes again: there are few videos, and many fresh pages for the same user. No place goes by lot.
ROOMY = {
    "deadline_ms": 2500,
    "attempt_timeout_ms": 500,
    "fallback_reserve_ms": 250,
    "seen_served_h": 0,
    "exploration": 0,
}


@dataclass
class RunningBridge:
    """A bridge that serves."""

    app: BridgeApp
    service: Service
    stub: "recommendations_pb2_grpc.RecommendationServiceAsyncStub"  # known to type checkers only

    async def page(
        self, user_id: str = "u1", timeout_s: float = CLIENT_TIMEOUT_S, **fields: Any
    ) -> pb.GetRecommendationsResponse:
        request = pb.GetRecommendationsRequest(user_id=user_id, **fields)
        return await self.stub.GetRecommendations(request, timeout=timeout_s)

    def metric(self, name: str, **labels: str) -> float:
        return self.app.registry.get_sample_value(name, labels) or 0.0


StartBridge = Callable[..., AbstractAsyncContextManager[RunningBridge]]


async def listening(port: int) -> bool:
    """Whether connections are taken: HTTP listens a moment after the process started."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def execute(folder: Path, *statements: sa.Executable) -> None:
    """Changes the database as another process would."""
    engine = sync_engine(f"sqlite:///{folder / 'feed.db'}")
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)
    engine.dispose()


def lose_database(folder: Path) -> None:
    """Removes the database under everybody's feet."""
    for file in folder.glob("feed.db*"):
        file.unlink()


def fill(url: str) -> None:
    """40 active videos e00 (oldest) to e39 (newest), one inactive; t-ids trend, an invented one most of all."""
    upgrade(url)
    engine = sync_engine(url)
    rows = [_video(f"e{number:02}", PUBLISHED + timedelta(hours=number)) for number in range(40)]
    rows += [_video(f"t{number:02}", PUBLISHED - timedelta(days=1)) for number in range(40)]
    rows += [{**_video("gone", PUBLISHED + timedelta(days=9)), "is_active": False}]
    weights = {**{f"t{number:02}": 100.0 - number for number in range(40)}, "gone": 900.0, "invented": 999.0}
    hours = [
        {"segment": "global", "bucket": PUBLISHED, "video_id": video_id, "weight": weight}
        for video_id, weight in weights.items()
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(videos), rows)
        connection.execute(sa.insert(trending), hours)
    engine.dispose()


def _video(video_id: str, published_at: datetime) -> dict[str, Any]:
    even = int(video_id[1:]) % 2 == 0 if video_id != "gone" else True
    return {
        "video_id": video_id,
        "author_id": "ann" if even else "bob",
        "tags": ["even"] if even else ["odd"],
        "language": "en",
        "duration_s": 10.0,
        "published_at": published_at,
        "is_active": True,
    }


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged; kept, because printing a traceback takes longer than a request may."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
async def scorer() -> AsyncIterator[FakeScorer]:
    async with FakeScorer(Script(videos=SCORED_VIDEOS, model_version="m1")) as running:
        yield running


@pytest.fixture
def start_bridge(tmp_path: Path) -> StartBridge:
    """Starts a bridge; keyword arguments are settings without their prefix, `environ` those of every process."""

    @asynccontextmanager
    async def start(
        *targets: str, empty: bool = False, environ: Mapping[str, str] | None = None, **settings: object
    ) -> AsyncIterator[RunningBridge]:
        url = f"sqlite:///{tmp_path / 'feed.db'}"
        if not empty and not (tmp_path / "feed.db").exists():
            fill(url)
        given = {"FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": url, "FEED_SCORER_TARGETS": ",".join(targets)}
        given |= environ or {}
        given |= {f"FEED_BRIDGE_{name.upper()}": str(value) for name, value in {**ROOMY, **settings}.items()}
        app = build(load(BridgeSettings, given))
        async with (
            Service("bridge", app, drain_s=1.0) as service,
            grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel,
        ):
            await until(lambda: listening(service.http_port), expected=True)
            yield RunningBridge(app, service, recommendations_pb2_grpc.RecommendationServiceStub(channel))

    return start


@pytest.fixture
async def bridge(start_bridge: StartBridge, scorer: FakeScorer) -> AsyncIterator[RunningBridge]:
    async with start_bridge(scorer.target) as running:
        yield running
