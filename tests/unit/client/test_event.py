"""What an event looks like on the wire."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from interactions.adapters.rest_json import decode_interaction
from interactions.client.event import UnsendableError, encode, rejection
from interactions.client.settings import TrackerSettings
from runtime.validation import check

ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
WHEN = datetime(2026, 11, 21, 14, 30, 0, 123_987, tzinfo=timezone(timedelta(hours=2)))
WHO = {"userId": "u1", "videoId": "v1", "interactionType": "RATE"}

EVERYTHING: dict[str, Any] = {
    "watch_time_s": 12.5,
    "feed_session_id": "s1",
    "recommendation_id": "r1",
    "position": 3,
    "algorithm": "LIGHTFM",
    "recommendation_score": -0.25,
    "model_version": "m1",
    "experiments": {"prior": "b"},
    "rating": 7.0,
    "served_token": "t",
    "metadata": {"Küche": "日本"},
}


def written(**details: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode(ID, WHEN, WHO, details).line)  # type: ignore[arg-type]
    return found


def test_an_event_has_its_id_and_its_time_in_utc() -> None:
    assert written() == {"eventId": ID, **WHO, "timestamp": "2026-11-21T12:30:00.123Z"}


def test_none_is_as_good_as_absent() -> None:
    assert written(**dict.fromkeys(EVERYTHING)) == written()


def test_the_service_reads_every_field_as_it_was_meant() -> None:
    """The JSON names are those of the contract; the service's own reader and rules judge."""
    message = decode_interaction(encode(ID, WHEN, WHO, EVERYTHING).line)  # type: ignore[arg-type]

    assert check(message) == []
    assert (message.event_id, message.user_id, message.video_id) == (ID, "u1", "v1")
    found = {name: getattr(message, name) for name in EVERYTHING}
    assert found | {"experiments": {"prior": message.experiments[0].variant}} == EVERYTHING
    assert message.timestamp.ToDatetime(UTC) == WHEN.replace(microsecond=123_000)


def test_a_line_is_one_line() -> None:
    line = encode(ID, WHEN, WHO, {"metadata": {"text": "a\nb\u2028c"}}).line
    assert len(line.splitlines()) == 1


def test_a_detail_that_there_is_not_is_the_programmers_error() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'watch_time'"):
        written(watch_time=3)


@pytest.mark.parametrize(
    "details",
    [
        pytest.param({"watch_time_s": float("nan")}, id="NaN"),
        pytest.param({"metadata": {"a": object()}}, id="no JSON"),
        pytest.param({"metadata": {"a": "\ud800"}}, id="half a character"),
    ],
)
def test_what_json_cannot_hold_is_told(details: dict[str, Any]) -> None:
    with pytest.raises(UnsendableError, match="cannot be written as JSON"):
        written(**details)


def test_experiments_of_another_shape_are_the_services_to_judge() -> None:
    assert written(experiments="x")["experiments"] == "x"


def test_a_rejection_shows_the_event() -> None:
    told = rejection(encode(ID, WHEN, WHO, {}), "rating", "must be given")
    assert (told.event_id, told.field, told.reason, told.event["userId"]) == (ID, "rating", "must be given", "u1")


def test_wrong_settings_are_told_all_at_once() -> None:
    with pytest.raises(ValueError, match=r"flush_events must be at least 1, is 0; max_batch_events must be 1 to 100"):
        TrackerSettings(flush_events=0, max_batch_events=101)
