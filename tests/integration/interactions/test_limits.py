"""Every limit on every door: what is beyond it is refused by the name of its field, with the range that is accepted."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from feed.common.v1 import common_pb2
from feed.interactions.v1 import interactions_pb2 as pb
from tests.integration.interactions.ingesting import JSON, Ingest, broken_rules, event, message

ID_RANGE: Final = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"
TIME_RANGE: Final = "must be from 20"
LONG: Final = "x" * 600


class Beyond(NamedTuple):
    """An event beyond one limit: the fields of the message and of the JSON that are, and what is said."""

    grpc: dict[str, Any]
    rest: dict[str, Any]
    field: str
    said: str


def at(offset: timedelta) -> Beyond:
    time = datetime.now(UTC) + offset
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return Beyond({"timestamp": stamp}, {"timestamp": time.isoformat()}, "timestamp", TIME_RANGE)


def many(count: int) -> Beyond:
    assignment = {"experiment": "e", "variant": "v"}
    messages = [common_pb2.ExperimentAssignment(**assignment)] * count
    return Beyond({"experiments": messages}, {"experiments": [assignment] * count}, "experiments", "20")


def entries(field: str, said: str, **found: str) -> Beyond:
    return Beyond({"metadata": found}, {"metadata": found}, field, said)


def same(grpc_name: str, rest_name: str, value: Any, said: str) -> Beyond:
    return Beyond({grpc_name: value}, {rest_name: value}, rest_name, said)


LIMITS: Final = {
    "no user": same("user_id", "userId", "", ID_RANGE),
    "long user": same("user_id", "userId", "x" * 129, ID_RANGE),
    "characters of user": same("user_id", "userId", "a b", ID_RANGE),
    "long video": same("video_id", "videoId", "x" * 129, ID_RANGE),
    "characters of video": same("video_id", "videoId", "a/b", ID_RANGE),
    "characters of session": same("feed_session_id", "feedSessionId", "a\n", ID_RANGE),
    "long recommendation": same("recommendation_id", "recommendationId", "x" * 129, ID_RANGE),
    "no UUID": same("event_id", "eventId", "e1", "must be a valid UUID"),
    "type": Beyond(
        {"interaction_type": 77}, {"interactionType": "WINK"}, "interactionType", "must be one of VIEW, CLICK"
    ),
    "negative watch time": same(
        "watch_time_s", "watchTime", -0.5, "must be greater than or equal to 0 and less than or equal to 86400"
    ),
    "watch time beyond a day": same("watch_time_s", "watchTime", 86_400.5, "less than or equal to 86400"),
    "31 days ago": at(timedelta(days=-31)),
    # Not 6 minutes: this is made when the tests are collected, and they may run for long.
    "a day ahead": at(timedelta(days=1)),
    "position": same("position", "position", 100_001, "100000"),
    "rating": Beyond(
        {"interaction_type": pb.RATE, "rating": 10.5}, {"interactionType": "RATE", "rating": 10.5}, "rating", "10"
    ),
    "rating of a like": same("rating", "rating", 3.0, "must be absent unless interactionType is RATE"),
    "algorithm": same("algorithm", "algorithm", LONG, "64"),
    "model version": same("model_version", "modelVersion", LONG, "128"),
    "served token": same("served_token", "servedToken", LONG, "512"),
    "experiments": many(21),
    "metadata entries": entries("metadata", "20", **{f"k{number}": "" for number in range(21)}),
    # What callers may make as long as they like is told in part.
    "metadata key": entries(f"metadata['{'k' * 64}']", "64", **{"k" * 65: ""}),
    "metadata value": entries("metadata['k']", "512", k=LONG),
    "NUL": same("algorithm", "algorithm", "\x00", "must not contain the character U+0000"),
}

# What an event beyond a limit is told, as (field, reason).
Told = tuple[str, str]


async def by_unary(ingest: Ingest, beyond: Beyond) -> Told:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ingest.one(message(**beyond.grpc))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    ((field, reason),) = broken_rules(raised.value).items()
    return field.removeprefix("interaction."), reason


async def by_batch(ingest: Ingest, beyond: Beyond) -> Told:
    answer = await ingest.batch(message(), message(**beyond.grpc))
    assert [each.status for each in answer.results] == [pb.ACCEPTED, pb.REJECTED]
    return answer.results[1].field, answer.results[1].reason


async def by_stream(ingest: Ingest, beyond: Beyond) -> Told:
    answer = await ingest.stream(message(), message(**beyond.grpc), message())
    assert (answer.accepted, answer.rejected_count) == (2, 1)
    return answer.rejected[0].field, answer.rejected[0].reason


async def by_rest(ingest: Ingest, beyond: Beyond) -> Told:
    answer = await ingest.post(event(**beyond.rest))
    assert answer.status == 422
    (violation,) = answer.json["violations"]
    return violation["field"], violation["reason"]


async def by_rest_batch(ingest: Ingest, beyond: Beyond) -> Told:
    answer = await ingest.post({"interactions": [event(), event(**beyond.rest)]})
    assert [each["status"] for each in answer.json["results"]] == ["ACCEPTED", "REJECTED"]
    return answer.json["results"][1]["field"], answer.json["results"][1]["reason"]


async def by_track(ingest: Ingest, beyond: Beyond) -> Told:
    answer = await ingest.post(event(**beyond.rest), {"content-type": "text/plain"}, "/api/track")
    assert answer.status == 422
    (violation,) = answer.json["violations"]
    return violation["field"], violation["reason"]


DOORS: Final[dict[str, Callable[[Ingest, Beyond], Awaitable[Told]]]] = {
    "unary": by_unary,
    "batch": by_batch,
    "stream": by_stream,
    "rest": by_rest,
    "rest batch": by_rest_batch,
    "track": by_track,
}


@pytest.mark.parametrize("door", DOORS)
async def test_an_event_beyond_a_limit_is_told_the_field_and_the_range(ingest: Ingest, door: str) -> None:
    for name, beyond in LIMITS.items():
        field, reason = await DOORS[door](ingest, beyond)
        assert field == beyond.field, name
        assert beyond.said in reason, name
    assert all(stored["interactionType"] == "LIKE" for stored in ingest.stored())


@pytest.mark.parametrize("door", ["unary", "batch", "stream"])
async def test_numbers_are_finite(ingest: Ingest, door: str) -> None:
    for name, json_name in (("watch_time_s", "watchTime"), ("recommendation_score", "recommendationScore")):
        for value in (float("nan"), float("inf"), float("-inf")):
            field, reason = await DOORS[door](ingest, Beyond({name: value}, {}, json_name, ""))
            assert field == json_name
            assert "finite" in reason or "86400" in reason


async def test_json_has_no_other_numbers(ingest: Ingest) -> None:
    for number in (b"NaN", b"Infinity", b"1e999", b'"1"'):
        answer = await ingest.post(b'{"userId":"u1","watchTime":' + number + b"}")
        assert answer.status == 400
    assert ingest.stored() == []


def padded(count: int) -> list[pb.Interaction]:
    return [message(metadata={"k": "x" * 500, "l": "x" * 500}) for _ in range(count)]


async def test_a_grpc_request_is_at_most_64_kib(ingest: Ingest) -> None:
    """A client that would send a batch again as it is must hear that this does not help."""
    large = pb.RecordInteractionsRequest(interactions=padded(70))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ingest.stub.RecordInteractions(large)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert broken_rules(raised.value) == {"request": f"must be at most 65536 bytes, has {large.ByteSize()}"}

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ingest.one(message(user_id="x" * 65_536))
    assert list(broken_rules(raised.value)) == ["request"]

    assert ingest.stored() == []
    assert len((await ingest.batch(*padded(60))).results) == 60


async def test_an_event_of_a_stream_that_is_too_large_is_refused_alone(ingest: Ingest) -> None:
    """A stream has no size of its own; its events have that of a record."""
    large = message(metadata={str(number): "\x01" * 512 for number in range(20)})

    answer = await ingest.stream(message(), large, message(user_id="x" * 100_000), message())

    assert (answer.accepted, answer.rejected_count) == (2, 2)
    assert [each.field for each in answer.rejected] == ["interaction", "userId"]
    assert "at most 61440" in answer.rejected[0].reason


@pytest.mark.parametrize(
    ("path", "content_type"), [("/feed/interactions", "application/json"), ("/api/track", "text/plain")]
)
async def test_a_body_is_at_most_64_kib(ingest: Ingest, path: str, content_type: str) -> None:
    headers = {"content-type": content_type}
    answer = await ingest.post({"interactions": [event(metadata={"k": "x" * 512, "l": "x" * 99})] * 100}, headers, path)

    assert (answer.status, answer.json["reason"]) == (413, "BODY_TOO_LARGE")
    assert answer.json["violations"] == [{"field": "body", "reason": "must be at most 65536 bytes"}]


@pytest.mark.parametrize("count", [0, 101])
async def test_a_batch_has_1_to_100_events(ingest: Ingest, count: int) -> None:
    said = f"must hold 1 to 100 events, holds {count}"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ingest.batch(*[message()] * count)
    assert broken_rules(raised.value) == {"interactions": said}

    for path in ("/feed/interactions", "/api/track"):
        answer = await ingest.post({"interactions": [event()] * count}, JSON, path)
        assert (answer.status, answer.json["violations"]) == (400, [{"field": "interactions", "reason": said}])
