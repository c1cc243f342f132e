"""What every door says when an event cannot be kept now: never an acknowledgement, always when to come back."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import grpc
import pytest

from eventlog.fake import MemoryLog, MemoryPublisher
from eventlog.ports import LogFullError, NotAcknowledgedError, Outcome, PublishError, Record
from tests.http import Answer, call
from tests.integration.interactions.ingesting import Ingest, event, message, on_publisher, running

FULL = LogFullError("full", retry_after_s=5.0)
NOWHERE = NotAcknowledgedError("neither here nor there")

GRPC_DOORS: dict[str, Callable[[Ingest], Awaitable[object]]] = {
    "unary": lambda ingest: ingest.one(message()),
    "batch": lambda ingest: ingest.batch(message(), message(user_id="")),
    "stream": lambda ingest: ingest.stream(message(), message()),
}
REST_DOORS: dict[str, Callable[[Ingest], Awaitable[Answer]]] = {
    "one": lambda ingest: ingest.post(event()),
    "several": lambda ingest: ingest.post({"interactions": [event(), {}]}),
    "track": lambda ingest: ingest.post(event(), {"content-type": "text/plain"}, "/api/track"),
}


class RefusingPublisher(MemoryPublisher):
    """Keeps nothing."""

    def __init__(self, outcome: PublishError) -> None:
        super().__init__(MemoryLog())
        self._outcome = outcome

    async def publish_many(self, records: Sequence[Record]) -> list[Outcome]:
        return [self._outcome for _ in records]


@pytest.mark.parametrize("door", GRPC_DOORS)
@pytest.mark.parametrize(
    ("outcome", "code", "pushback_ms"),
    [
        pytest.param(FULL, grpc.StatusCode.RESOURCE_EXHAUSTED, "5000", id="full"),
        pytest.param(NOWHERE, grpc.StatusCode.UNAVAILABLE, "1000", id="durable nowhere"),
    ],
)
async def test_over_grpc(outcome: PublishError, code: grpc.StatusCode, pushback_ms: str, door: str) -> None:
    async with on_publisher(RefusingPublisher(outcome)) as ingest:
        with pytest.raises(grpc.aio.AioRpcError, match="send them again with the same eventId") as raised:
            await GRPC_DOORS[door](ingest)

    assert raised.value.code() is code
    assert dict(raised.value.trailing_metadata() or ())["grpc-retry-pushback-ms"] == pushback_ms


@pytest.mark.parametrize("door", REST_DOORS)
@pytest.mark.parametrize(
    ("outcome", "status", "reason", "retry_after_s"),
    [
        pytest.param(FULL, 429, "LOG_FULL", "5", id="full"),
        pytest.param(NOWHERE, 503, "NOT_ACKNOWLEDGED", "1", id="durable nowhere"),
    ],
)
async def test_over_rest(outcome: PublishError, status: int, reason: str, retry_after_s: str, door: str) -> None:
    async with on_publisher(RefusingPublisher(outcome)) as ingest:
        answer = await REST_DOORS[door](ingest)

    assert (answer.status, answer.json["reason"], answer.headers["retry-after"]) == (status, reason, retry_after_s)
    assert "send them again with the same eventId" in answer.json["detail"]


async def test_a_full_journal_refuses_before_it_acknowledges(tmp_path: Path) -> None:
    async with running(tmp_path, interactions_journal_max_mb=1) as ingest:
        batch = {"interactions": [event(metadata={"k": "x" * 512}) for _ in range(80)]}
        acknowledged = 0
        while (answer := await ingest.post(batch)).status == 200:
            acknowledged += 80

        assert (answer.status, answer.json["reason"], answer.headers["retry-after"]) == (429, "LOG_FULL", "5")
        assert len(ingest.stored()) == acknowledged > 0
        ready = await call(ingest.service.http_port, "GET", "/readyz")
        assert (ready.status, "is its reader running?" in ready.text) == (503, True)
