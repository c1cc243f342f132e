"""The ingest service over real gRPC and HTTP, on the embedded journal."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from feed.interactions.v1 import interactions_pb2 as pb
from tests.http import call
from tests.integration.interactions.ingesting import ID, JSON, Ingest, broken_rules, event, message
from tests.polling import until


async def test_grpc_one(ingest: Ingest) -> None:
    answer = await ingest.stub.RecordInteraction(pb.RecordInteractionRequest(interaction=message(event_id=ID)))

    assert answer == pb.RecordInteractionResponse(
        result=pb.RecordResult(event_id=ID, status=pb.ACCEPTED), durability=pb.JOURNAL
    )
    assert [stored["eventId"] for stored in ingest.stored()] == [ID]


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        pytest.param(pb.RecordInteractionRequest(), ["interaction"], id="nothing"),
        pytest.param(
            pb.RecordInteractionRequest(interaction=pb.Interaction()),
            ["interaction.userId", "interaction.videoId", "interaction.interactionType", "interaction.timestamp"],
            id="an empty event",
        ),
        pytest.param(
            pb.RecordInteractionRequest(interaction=message(watch_time_s=float("nan"))),
            ["interaction.watchTime"],
            id="NaN",
        ),
        pytest.param(
            pb.RecordInteractionRequest(interaction=message(interaction_type=77)),
            ["interaction.interactionType"],
            id="unknown type",
        ),
        pytest.param(
            pb.RecordInteractionRequest(interaction=message(rating=3)), ["interaction.rating"], id="rated a like"
        ),
        pytest.param(
            pb.RecordInteractionRequest(interaction=message(metadata={str(n): "\x01" * 512 for n in range(20)})),
            ["interaction"],
            id="too large as JSON",
        ),
    ],
)
async def test_grpc_one_refuses_with_the_fields(
    ingest: Ingest, request_: pb.RecordInteractionRequest, fields: list[str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ingest.stub.RecordInteraction(request_)

    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert list(broken_rules(raised.value)) == fields
    assert ingest.stored() == []


async def test_grpc_batch_rejects_the_bad_ones_alone(ingest: Ingest) -> None:
    events = [message(event_id=ID), message(user_id=""), message(event_id=ID), message()]

    answer = await ingest.stub.RecordInteractions(pb.RecordInteractionsRequest(interactions=events))

    assert [result.status for result in answer.results] == [pb.ACCEPTED, pb.REJECTED, pb.DUPLICATE, pb.ACCEPTED]
    assert (answer.results[1].field, answer.durability) == ("userId", pb.JOURNAL)
    assert [stored["eventId"] for stored in ingest.stored()] == [ID, answer.results[3].event_id]


@pytest.mark.parametrize("count", [0, 101])
async def test_grpc_batch_has_1_to_100_events(ingest: Ingest, count: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="must hold 1 to 100 events") as raised:
        await ingest.stub.RecordInteractions(pb.RecordInteractionsRequest(interactions=[message()] * count))

    assert list(broken_rules(raised.value)) == ["interactions"]


async def test_grpc_stream(ingest: Ingest) -> None:
    sent = [message(event_id=ID), pb.Interaction(), message(event_id=ID), *(message() for _ in range(500))]

    answer = await ingest.stub.StreamInteractions(pb.StreamInteractionsRequest(interaction=each) for each in sent)

    assert (answer.accepted, answer.duplicates, answer.rejected_count) == (502, 1, 1)
    assert (answer.rejected[0].field, answer.durability) == ("userId", pb.JOURNAL)
    assert len(ingest.stored()) == 501


async def test_grpc_stream_is_durable_while_it_is_open(ingest: Ingest) -> None:
    stream = ingest.stub.StreamInteractions()
    await stream.write(pb.StreamInteractionsRequest(interaction=message(event_id=ID)))

    async def stored() -> int:
        return len(ingest.stored())

    await until(stored, 1)
    await stream.done_writing()
    assert (await stream).accepted == 1


async def test_rest_one(ingest: Ingest) -> None:
    answer = await ingest.post(event(eventId=ID, watchTime=2))

    assert (answer.status, answer.json) == (
        200,
        {"result": {"eventId": ID, "status": "ACCEPTED"}, "durability": "JOURNAL"},
    )
    assert ingest.stored()[0]["watchTime"] == 2.0


async def test_rest_batch(ingest: Ingest) -> None:
    answer = await ingest.post({"interactions": [event(eventId=ID), event(watchTime="x", eventId="bad"), {}]})

    assert answer.status == 200
    assert [(result["eventId"], result["status"]) for result in answer.json["results"]] == [
        (ID, "ACCEPTED"),
        ("bad", "REJECTED"),
        ("", "REJECTED"),
    ]
    assert [result.get("field") for result in answer.json["results"]] == [None, "watchTime", "userId"]


OLD = (datetime.now(UTC) - timedelta(days=31)).isoformat()
AHEAD = (datetime.now(UTC) + timedelta(days=365)).isoformat()


@pytest.mark.parametrize(
    ("payload", "status", "field"),
    [
        pytest.param(event(userId=""), 422, "userId", id="no user"),
        pytest.param(event(interactionType="WINK"), 422, "interactionType", id="unknown type"),
        pytest.param(event(watchTime=-1), 422, "watchTime", id="negative watch time"),
        pytest.param(event(timestamp="1970-01-01T00:00:00Z"), 422, "timestamp", id="1970"),
        pytest.param(event(timestamp=OLD), 422, "timestamp", id="31 days ago"),
        pytest.param(event(timestamp=AHEAD), 422, "timestamp", id="next year"),
        pytest.param(b'{"userId":"u","watchTime":NaN}', 400, "body", id="NaN"),
        pytest.param(event(viewTime=3), 400, "viewTime", id="unknown field"),
        pytest.param(event(userId=3), 400, "userId", id="wrong type"),
        pytest.param(b"{", 400, "body", id="malformed"),
        pytest.param(b"", 400, "body", id="empty"),
        pytest.param([event()], 400, "body", id="a bare list"),
        pytest.param({"interactions": []}, 400, "interactions", id="no events"),
        pytest.param({"interactions": [event()] * 101}, 400, "interactions", id="101 events"),
    ],
)
async def test_rest_refuses_with_the_field_and_stores_nothing(
    ingest: Ingest, payload: object, status: int, field: str
) -> None:
    answer = await ingest.post(payload)

    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [violation["field"] for violation in answer.json["violations"]] == [field]
    assert ingest.stored() == []


async def test_rest_tells_the_accepted_range_of_time(ingest: Ingest) -> None:
    answer = await ingest.post(event(timestamp="1970-01-01T00:00:00Z"))

    assert "must be from 20" in answer.json["violations"][0]["reason"]
    assert answer.json["violations"][0]["reason"].endswith("is 1970-01-01T00:00:00.000Z")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b'{"userId":"' + b"x" * 1_000_000 + b'"}', JSON, 413, id="an id of a megabyte"),
        pytest.param(b"{}", {"content-type": "text/plain"}, 415, id="text"),
        pytest.param(b"{}", {}, 415, id="no content type"),
    ],
)
async def test_rest_refuses_bodies_it_does_not_read(
    ingest: Ingest, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await call(ingest.service.http_port, "POST", "/feed/interactions", body, headers)

    assert (answer.status, ingest.stored()) == (status, [])


async def test_metrics_count_by_type_and_status(ingest: Ingest) -> None:
    await ingest.post({"interactions": [event(eventId=ID), event(eventId=ID), event(userId=""), {}]})

    metrics = (await call(ingest.service.http_port, "GET", "/metrics")).text

    assert 'feed_interactions_events_total{status="ACCEPTED",type="LIKE"} 1.0' in metrics
    assert 'feed_interactions_events_total{status="DUPLICATE",type="LIKE"} 1.0' in metrics
    assert 'feed_interactions_events_total{status="REJECTED",type="LIKE"} 1.0' in metrics
    assert 'feed_interactions_events_total{status="REJECTED",type="UNKNOWN"} 1.0' in metrics
    assert 'feed_interactions_publish_duration_seconds_count{durability="JOURNAL"} 1.0' in metrics
