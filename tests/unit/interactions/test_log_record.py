"""The JSON of `feed.interactions.v1`."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interactions.domain.event import Assignment, InteractionEvent, InteractionType
from interactions.domain.log_record import UnreadableError, decode, encode

ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
TIME = datetime(2025, 9, 1, 12, 0, 0, 123_000, tzinfo=UTC)
LEAST = InteractionEvent("u1", "v1", InteractionType.VIEW, 0.0, TIME, ID)
FULL = InteractionEvent(
    user_id="u1",
    video_id="v1",
    interaction_type=InteractionType.RATE,
    watch_time_s=12.5,
    event_time=TIME,
    event_id=ID,
    feed_session_id="s1",
    recommendation_id="r1",
    position=3,
    algorithm="lightfm",
    recommendation_score=-0.25,
    model_version="m1",
    experiments=(Assignment("e1", "a"), Assignment("e2", "b")),
    rating=0.0,
    served_token="t1",
    metadata={"k": "v"},
)


def test_what_is_always_there_comes_first_and_nothing_else() -> None:
    """The contract's golden bytes: other systems read this."""
    assert encode(LEAST) == (
        b'{"userId":"u1","videoId":"v1","interactionType":"VIEW","watchTime":0.0,'
        b'"timestamp":"2025-09-01T12:00:00.123Z","eventId":"f47ac10b-58cc-4372-a567-0e02b2c3d479"}'
    )


def test_the_rest_follows_when_it_is_known() -> None:
    assert encode(FULL) == (
        b'{"userId":"u1","videoId":"v1","interactionType":"RATE","watchTime":12.5,'
        b'"timestamp":"2025-09-01T12:00:00.123Z","eventId":"f47ac10b-58cc-4372-a567-0e02b2c3d479",'
        b'"feedSessionId":"s1","recommendationId":"r1","position":3,"algorithm":"lightfm",'
        b'"recommendationScore":-0.25,"modelVersion":"m1",'
        b'"experiments":[{"experiment":"e1","variant":"a"},{"experiment":"e2","variant":"b"}],'
        b'"rating":0.0,"servedToken":"t1","metadata":{"k":"v"}}'
    )


def test_event_ids_are_stored_in_lower_case() -> None:
    assert json.loads(encode(replace(LEAST, event_id=ID.upper())))["eventId"] == ID


ids = st.from_regex(r"\A[A-Za-z0-9_.:-]{1,128}\Z")
finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
events = st.builds(
    InteractionEvent,
    user_id=ids,
    video_id=ids,
    interaction_type=st.sampled_from(InteractionType),
    watch_time_s=st.floats(0, 86_400),
    event_time=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
        lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
    ),
    event_id=st.uuids().map(str),
    feed_session_id=st.just("") | ids,
    recommendation_id=st.just("") | ids,
    position=st.none() | st.integers(1, 100_000),
    algorithm=texts,
    recommendation_score=st.none() | finite,
    model_version=texts,
    experiments=st.lists(st.builds(Assignment, ids, ids), max_size=3).map(tuple),
    rating=st.none() | st.floats(0, 10),
    served_token=texts,
    metadata=st.dictionaries(texts, texts, max_size=3),
)


@given(events)
def test_what_goes_in_comes_out(event: InteractionEvent) -> None:
    assert decode(encode(event)) == event


def test_unknown_fields_are_ignored() -> None:
    """Contracts grow by adding: an older sink must read what a newer service writes."""
    assert decode(encode(LEAST)[:-1] + b',"new":{"a":[1]}}') == LEAST


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(encode(LEAST)) | fields).encode()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param(b"", "truncated", id="empty"),
        pytest.param(b"\x00\xff", "malformed", id="binary"),
        pytest.param(b"[]", "Expected `object`", id="no object"),
        pytest.param(b"{}", "userId", id="nothing in it"),
        pytest.param(b"[" * 60_000, "Expected `object`", id="deep"),
        pytest.param(changed(userId=5), "$.userId", id="user is a number"),
        pytest.param(changed(userId="a b"), "$.userId", id="space in user"),
        pytest.param(changed(userId="a\n"), "$.userId", id="line end after user"),
        pytest.param(changed(videoId="x" * 129), "$.videoId", id="long video"),
        pytest.param(changed(interactionType="WINK"), "$.interactionType", id="unknown type"),
        pytest.param(changed(watchTime=-1), "$.watchTime", id="negative watch time"),
        pytest.param(changed(watchTime="3"), "$.watchTime", id="watch time as text"),
        pytest.param(changed(timestamp="yesterday"), "isoformat", id="no time"),
        pytest.param(changed(timestamp="2025-09-01T12:00:00"), "zone", id="time without zone"),
        pytest.param(changed(timestamp="0001-01-01T00:00:00+23:00"), "range", id="time before all time"),
        pytest.param(changed(eventId="abc"), "$.eventId", id="no UUID"),
        pytest.param(changed(rating=11), "$.rating", id="rating above 10"),
        pytest.param(changed(position=2**40), "$.position", id="position beyond the column"),
        pytest.param(changed(algorithm="\x00"), "algorithm: must not contain", id="NUL"),
        pytest.param(changed(metadata={"a": 1}), "$.metadata", id="metadata with a number"),
    ],
)
def test_unreadable_values_say_where(value: bytes, said: str) -> None:
    with pytest.raises(UnreadableError) as raised:
        decode(value)
    assert said in str(raised.value)


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_do_more_than_be_unreadable(value: bytes) -> None:
    try:
        decode(value)
    except UnreadableError:
        return
