"""The JSON of `POST /feed/interactions`: the same as protobuf's JSON for good events, and clear words for bad ones."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from feed.interactions.v1 import interactions_pb2 as pb
from interactions.adapters.rest_json import UnreadableBodyError, decode_interaction, is_batch, split_batch
from interactions.domain.event import Refusal
from interactions.domain.quick_check import Window
from interactions.messages import read

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
number = st.floats(allow_nan=False, allow_infinity=False, width=32)
moment = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
int32 = st.integers(-(2**31), 2**31 - 1)
good_events = st.fixed_dictionaries(
    {},
    optional={
        "eventId": st.uuids().map(str),
        "userId": text,
        "videoId": text,
        "interactionType": st.sampled_from(pb.InteractionType.keys()),
        "watchTime": number | st.integers(0, 86_400),
        "timestamp": moment.map(lambda time: time.isoformat().replace("+00:00", "Z")) | moment.map(datetime.isoformat),
        "feedSessionId": text,
        "recommendationId": text,
        "position": int32 | int32.map(float),  # JSON has one kind of number: 7.0 is 7
        "algorithm": text,
        "recommendationScore": number,
        "modelVersion": text,
        "experiments": st.lists(st.fixed_dictionaries({"experiment": text, "variant": text}), max_size=3),
        "rating": number,
        "servedToken": text,
        "metadata": st.dictionaries(text, text, max_size=3),
    },
)


@given(good_events)
def test_reads_what_protobuf_reads(event: dict[str, Any]) -> None:
    """The contract's JSON is protobuf's; msgspec only reads it faster."""
    body = json.dumps(event).encode()

    assert decode_interaction(body) == json_format.Parse(body, pb.Interaction())


@pytest.mark.parametrize("name", sorted(field.json_name for field in pb.Interaction.DESCRIPTOR.fields))
def test_every_field_of_the_contract_is_read_and_null_is_absent(name: str) -> None:
    assert decode_interaction(json.dumps({name: None}).encode()) == pb.Interaction()


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        pytest.param(b"", "interaction", "truncated", id="empty"),
        pytest.param(b"[]", "interaction", "object", id="list"),
        pytest.param(b"{]", "interaction", "malformed", id="malformed"),
        pytest.param(b'{"watchTime":NaN}', "interaction", "malformed", id="NaN"),
        pytest.param(b'{"watchTime":-Infinity}', "interaction", "malformed", id="infinity"),
        pytest.param(b'{"watchTime":1e999}', "watchTime", "out of range", id="beyond float"),
        pytest.param(b'{"watchTime":"3"}', "watchTime", "Expected `float`, got `str`", id="number as text"),
        pytest.param(b'{"userId":5}', "userId", "Expected `str`, got `int`", id="text as number"),
        pytest.param(b'{"userid":"u"}', "userid", "no field", id="unknown field"),
        pytest.param(
            b'{"experiments":[{"experiment":"a","share":1}]}', "experiments[0].share", "no field", id="deeper"
        ),
        pytest.param(b'{"experiments":[{"experiment":7}]}', "experiments[0].experiment", "`str`", id="deeper type"),
        pytest.param(b'{"metadata":{"a":{}}}', "metadata[...]", "`str`", id="metadata"),
        pytest.param(b'{"timestamp":"2025-09-01"}', "timestamp", "RFC 3339 with a zone", id="a date"),
        pytest.param(b'{"timestamp":"2025-09-01T12:00:00"}', "timestamp", "RFC 3339 with a zone", id="no zone"),
        pytest.param(b'{"timestamp":1756728000}', "timestamp", "RFC 3339 with a zone", id="epoch"),
        pytest.param(b'{"position":1.5}', "position", "Expected `int`", id="fraction"),
        pytest.param(b'{"userId":"\xff"}', "interaction", "UTF-8", id="no UTF-8"),
        pytest.param(b'{"userId":"\\ud800"}', "interaction", "", id="half a surrogate pair"),
        pytest.param(b'{"metadata":' + b"[" * 60_000, "metadata", "object", id="deep"),
    ],
)
def test_unreadable_events_name_the_field(body: bytes, field: str, said: str) -> None:
    with pytest.raises(UnreadableBodyError) as raised:
        decode_interaction(body)

    assert raised.value.violation.field == field
    assert said in raised.value.violation.reason


def test_the_id_of_an_unreadable_event_is_known_where_it_can_be() -> None:
    with pytest.raises(UnreadableBodyError) as raised:
        decode_interaction(b'{"eventId":"e1","userId":5}')

    assert raised.value.event_id == "e1"


def test_a_long_unknown_name_is_cut() -> None:
    with pytest.raises(UnreadableBodyError) as raised:
        decode_interaction(b'{"%s":1}' % (b"x" * 10_000))

    assert len(raised.value.violation.field) == 128


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        pytest.param({}, ["userId", "videoId", "interactionType", "timestamp"], id="nothing"),
        pytest.param({"interactionType": "WINK"}, ["interactionType"], id="unknown type"),
        pytest.param({"interactionType": "view"}, ["interactionType"], id="type in lower case"),
        pytest.param({"interactionType": "INTERACTION_TYPE_UNSPECIFIED"}, ["interactionType"], id="type not said"),
        pytest.param({"watchTime": -1}, ["watchTime"], id="negative watch time"),
        pytest.param({"watchTime": 86_401}, ["watchTime"], id="more than a day"),
        pytest.param({"position": 10**12}, ["position"], id="position beyond 32 bits"),
        pytest.param({"position": -(10**12)}, ["position"], id="position below 32 bits"),
        pytest.param({"userId": "x" * 1_000_000}, ["userId"], id="an id of a megabyte"),
        pytest.param({"userId": "a b"}, ["userId"], id="a space in an id"),
        pytest.param({"eventId": "e1"}, ["eventId"], id="no UUID"),
        pytest.param({"experiments": [{"experiment": "a"}]}, ["experiments[0].variant"], id="no variant"),
        pytest.param({"metadata": {"": "x"}}, ["metadata['']"], id="empty key"),
    ],
)
def test_bad_values_are_refused_by_the_rules_of_the_protos(event: dict[str, Any], fields: list[str]) -> None:
    good = {"userId": "u", "videoId": "v", "interactionType": "VIEW", "timestamp": "2025-09-01T12:00:00Z"}
    message = decode_interaction(json.dumps(good | event if event else {}).encode())
    found = read(message, Window.at(datetime(2025, 9, 1, 12, tzinfo=UTC)))

    assert isinstance(found, Refusal)
    assert [rule.field for rule in found.broken] == fields


def test_a_batch_is_split_without_reading_its_events() -> None:
    body = b'{"interactions":[{"userId":"a"}, 5 ,{"x":[1]}]}'

    assert is_batch(body)
    assert split_batch(body) == [b'{"userId":"a"}', b"5", b'{"x":[1]}']


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b'{"interactions":{}}', "interactions", id="no list"),
        pytest.param(b'{"interactions":[],"more":1}', "more", id="another field"),
        pytest.param(b'{"interactions":[{]}', "body", id="malformed"),
    ],
)
def test_unreadable_batches_name_the_field(body: bytes, field: str) -> None:
    with pytest.raises(UnreadableBodyError) as raised:
        is_batch(body)
        split_batch(body)
    assert raised.value.violation.field == field
