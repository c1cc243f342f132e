"""R18: one event, sent a thousand times at once through every door, is one event with one answer."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import pytest

from feed.interactions.v1 import interactions_pb2 as pb
from feed.interactions.v1 import interactions_pb2_grpc
from tests.chaos.conftest import Reporter
from tests.chaos.events import Event, Stream, message
from tests.chaos.ingest_rig import IngestRig
from tests.chaos.processes import Running
from tests.chaos.sending import new_run
from tests.chaos.stores import read_topic
from tests.http import call
from tests.polling import until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TARGET: Final = "1 row, 0 errors, the same answer to all"
COPIES: Final = 1_000
TIMEOUT_S: Final = 30.0

# What a sender is told of the event: its status, and where it is; of a batch that says the weakest place of all in it.
Answer = tuple[str, str]
ACCEPTED: Final = "ACCEPTED"


class Doors:
    """Every way into an ingest service.

    Args:
        service: The service.
        stub: A client of its gRPC side.
    """

    def __init__(self, service: Running, stub: Any) -> None:
        self._service = service
        self._stub = stub

    def all(self) -> list[Callable[[Event], Awaitable[Answer]]]:
        """Returns them."""
        return [self.unary, self.batch, self.stream, self.rest, self.track]

    async def unary(self, event: Event) -> Answer:
        request = pb.RecordInteractionRequest(interaction=message(event))
        answer = await self._stub.RecordInteraction(request, timeout=TIMEOUT_S)
        return _told(answer.result.status, answer.durability)

    async def batch(self, event: Event) -> Answer:
        """Sends it with another event, which is new."""
        other = message({**event, "eventId": str(uuid.uuid4())})
        request = pb.RecordInteractionsRequest(interactions=[other, message(event)])
        answer = await self._stub.RecordInteractions(request, timeout=TIMEOUT_S)
        assert answer.results[0].status == pb.ACCEPTED
        return _told(answer.results[1].status, answer.durability)[0], ""

    async def stream(self, event: Event) -> Answer:
        requests = (pb.StreamInteractionsRequest(interaction=each) for each in [message(event)])
        answer = await self._stub.StreamInteractions(requests, timeout=TIMEOUT_S)
        assert (answer.accepted, answer.duplicates, answer.rejected_count) == (1, 0, 0)
        return _told(pb.ACCEPTED, answer.durability)

    async def rest(self, event: Event) -> Answer:
        return await self._post("/feed/interactions", "application/json", event)

    async def track(self, event: Event) -> Answer:
        return await self._post("/api/track", "text/plain;charset=UTF-8", event)

    async def _post(self, path: str, content_type: str, event: Event) -> Answer:
        body = json.dumps(event).encode()
        answer = await call(self._service.http_port, "POST", path, body, {"content-type": content_type})
        assert answer.status == 200, answer.text
        return answer.json["result"]["status"], answer.json["durability"]


async def test_the_same_event_a_thousand_times_at_once(ingest: IngestRig, report: Reporter) -> None:
    service, _ = ingest.interactions(), ingest.sink()
    await asyncio.to_thread(ingest.wait_until_ready)
    stream = Stream(new_run())
    event = stream.event(1, time.time_ns() // 1_000_000)

    answers = await send_copies(service, event, COPIES)
    places = {answer[1] for answer in answers if not isinstance(answer, BaseException)} - {""}
    others = COPIES // len(Doors(service, None).all())  # that came with the copies in batches
    await until(lambda: asyncio.to_thread(ingest.table.count), others + 1, bound_s=ingest.bound_s)
    copies_in_topic = sum(event["eventId"].encode() in copy.value for copy in read_topic(ingest.broker.client_config()))

    # A service that has forgotten publishes it again; whoever reads the topic knows it.
    service.kill()
    await asyncio.to_thread(service.start)
    answers += await send_copies(service, event, COPIES // 10)
    others += others // 10
    await until(lambda: asyncio.to_thread(ingest.table.count), others + 1, bound_s=ingest.bound_s)
    rows = [row for row in ingest.table.rows() if row.event["eventId"] == event["eventId"]]
    told = Counter(answer for answer in answers if not isinstance(answer, BaseException))
    errors = [answer for answer in answers if isinstance(answer, BaseException)]

    report(
        "R18",
        f"one event {COPIES} times at once over gRPC and REST, and {COPIES // 10} times after a restart",
        target=TARGET,
        met=not errors and len(rows) == len(places) == 1 and {status for status, _ in told} == {ACCEPTED},
        rows=len(rows),
        errors=len(errors),
        answers=str(dict(told)),
        copies_in_topic_before_restart=copies_in_topic,
    )
    assert errors == []
    assert {status for status, _ in told} == {ACCEPTED}
    assert len(places) == 1
    assert [row.event for row in rows] == [event]
    # It was published once. What was confirmed too late is in the journal too, whichever of the two was first to tell.
    assert copies_in_topic <= 2


async def send_copies(service: Running, event: Event, count: int) -> list[Answer | BaseException]:
    """Sends copies through all doors in turn, at once; returns what each was told."""
    async with grpc.aio.insecure_channel(service.target) as channel:
        doors = Doors(service, interactions_pb2_grpc.InteractionServiceStub(channel)).all()
        sending = [doors[number % len(doors)](event) for number in range(count)]
        return await asyncio.gather(*sending, return_exceptions=True)


def _told(status: pb.RecordStatus.ValueType, durability: pb.Durability.ValueType) -> Answer:
    return pb.RecordStatus.Name(status), pb.Durability.Name(durability)
