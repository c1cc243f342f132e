"""An ingest service over real gRPC and HTTP, on the embedded journal, and what tests send to it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import CollectorRegistry

from eventlog.adapters.journal_file import JournalFile
from eventlog.opening import journal_path
from eventlog.ports import Publisher
from eventlog.topics import INTERACTIONS
from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1 import interactions_pb2_grpc
from interactions.app import InteractionsApp, build
from interactions.metrics import InteractionsMetrics
from interactions.service import Recorder
from interactions.settings import InteractionsSettings
from interactions.system import System
from runtime.access.guard import Guard, guard_of
from runtime.process import Service
from tests.http import Answer, call
from tests.polling import wait_for

ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
JSON = {"content-type": "application/json"}


class Ingest:
    """A running ingest service and its journal."""

    def __init__(self, service: Service, stub: Any, path: Path) -> None:
        self.service = service
        self.stub = stub
        self._path = path

    async def post(
        self, payload: object, headers: dict[str, str] | None = None, path: str = "/feed/interactions"
    ) -> Answer:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return await call(self.service.http_port, "POST", path, body, JSON if headers is None else headers)

    async def get(self, path: str) -> Answer:
        return await call(self.service.http_port, "GET", path)

    async def metric(self, sample: str) -> float:
        """The value of a line of /metrics."""
        lines = (await self.get("/metrics")).text.splitlines()
        return next(float(line.removeprefix(sample)) for line in lines if line.startswith(f"{sample} "))

    async def one(self, message: pb.Interaction) -> pb.RecordInteractionResponse:
        answer: pb.RecordInteractionResponse = await self.stub.RecordInteraction(
            pb.RecordInteractionRequest(interaction=message)
        )
        return answer

    async def batch(self, *messages: pb.Interaction) -> pb.RecordInteractionsResponse:
        answer: pb.RecordInteractionsResponse = await self.stub.RecordInteractions(
            pb.RecordInteractionsRequest(interactions=messages)
        )
        return answer

    async def stream(self, *messages: pb.Interaction) -> pb.StreamInteractionsResponse:
        answer: pb.StreamInteractionsResponse = await self.stub.StreamInteractions(
            pb.StreamInteractionsRequest(interaction=message) for message in messages
        )
        return answer

    def stored(self) -> list[dict[str, Any]]:
        file = JournalFile(self._path)
        try:
            return [json.loads(record.value) for record in file.read(INTERACTIONS, 0, 10_000)]
        finally:
            file.close()


@asynccontextmanager
async def running(tmp_path: Path, **settings: Any) -> AsyncIterator[Ingest]:
    """Runs the service as it is built from settings."""
    known = InteractionsSettings(data_dir=tmp_path, **settings)
    async with serving(build(known), journal_path(known), guard_of(known)) as ingest:
        yield ingest


@asynccontextmanager
async def on_publisher(publisher: Publisher) -> AsyncIterator[Ingest]:
    """Runs the service with another log behind it."""
    registry = CollectorRegistry()
    recorder = Recorder(publisher, InteractionsMetrics(registry), System())
    async with serving(InteractionsApp(publisher, recorder, registry), Path()) as ingest:
        yield ingest


@asynccontextmanager
async def serving(app: InteractionsApp, journal: Path, guard: Guard | None = None) -> AsyncIterator[Ingest]:
    async with (
        Service("interactions", app, grpc_port=0, http_port=0, guard=guard) as service,
        grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel,
    ):
        stub = interactions_pb2_grpc.InteractionServiceStub(channel)
        await asyncio.to_thread(wait_for, lambda: _accepts(service.http_port), bool)
        yield Ingest(service, stub, journal)


def message(**fields: Any) -> pb.Interaction:
    given: dict[str, Any] = {"user_id": "u1", "video_id": "v1", "interaction_type": pb.LIKE}
    made = pb.Interaction(**(given | fields))
    if not made.HasField("timestamp"):
        made.timestamp.GetCurrentTime()
    return made


def event(**fields: Any) -> dict[str, Any]:
    return {"userId": "u1", "videoId": "v1", "interactionType": "LIKE", "timestamp": now_text()} | fields


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Refused(NamedTuple):
    """A refusal for too much: its reason, and when to come again by both hints."""

    reason: str
    retry_s: float
    pushback_ms: int


def refusal_of(error: grpc.aio.AioRpcError) -> Refused:
    """What the error says of when to come again."""
    trailers = dict(tuple(error.trailing_metadata()))
    found, delay = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details:
        for kind in (found, delay):
            if detail.Is(kind.DESCRIPTOR):
                detail.Unpack(kind)
    return Refused(found.reason, delay.retry_delay.ToMilliseconds() / 1000, int(trailers["grpc-retry-pushback-ms"]))


def broken_rules(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """What the error says is wrong, by field."""
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(bytes(trailing["grpc-status-details-bin"]))
    found = error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(found)
    return {violation.field: violation.description for violation in found.field_violations}


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
