"""What must be true of every event of what was served and consumed (issue 8, item 2)."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from insights.checking import QualityCheck
from insights.domain.analytics import AnalyticsEvent, EventName
from insights.domain.quality import FIELDS, problems_of

TIME = datetime(2025, 9, 1, 12, tzinfo=UTC)
OF_PAGE: dict[str, Any] = {
    "recommendation_id": "r1",
    "feed_session_id": "s1",
    "algorithm": "lightfm-warp",
    "source": "LIGHTFM",
    "fallback_reason": "NONE",
    "model_version": "m1",
    "experiments": [{"experiment_id": "e1", "variant_id": "b"}],
}
SERVED = AnalyticsEvent(
    EventName.SERVED, "r1", "u1", TIME, {**OF_PAGE, "video_ids": ["v1", "v2"], "positions": [21, 22]}
)
DONE = {"video_id": "v1", "position": 1, "interaction_type": "VIEW", "watch_time_s": 0.0}
CONSUMED = AnalyticsEvent(EventName.CONSUMED, "e1", "u1", TIME, {**OF_PAGE, **DONE})
FALLBACK = {"source": "TRENDING", "fallback_reason": "DEADLINE", "model_version": "", "experiments": []}
EVENTS = {"served": SERVED, "consumed": CONSUMED}
EVERY_FIELD = [
    pytest.param(each, field, id=f"{name}-{field}") for name, each in EVENTS.items() for field in each.properties
]


def changed(event: AnalyticsEvent, **properties: Any) -> AnalyticsEvent:
    return replace(event, properties={**event.properties, **properties})


def wrong(event: AnalyticsEvent) -> list[str]:
    return [problem.field for problem in problems_of(event)]


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_with_every_field_has_no_problem(event: AnalyticsEvent) -> None:
    assert (wrong(event), wrong(changed(event, **FALLBACK))) == ([], [])
    assert {*FIELDS[event.name]} == {*event.properties, "message_id", "user_id", "time"}


def test_a_page_without_a_video_is_none_the_less_a_page() -> None:
    assert wrong(changed(SERVED, video_ids=[], positions=[])) == []


@pytest.mark.parametrize(("event", "field"), EVERY_FIELD)
def test_each_field_is_missed(event: AnalyticsEvent, field: str) -> None:
    less = replace(event, properties={name: value for name, value in event.properties.items() if name != field})
    assert [(each.field, each.text) for each in problems_of(less)] == [(field, "is missing")]


@pytest.mark.parametrize(("event", "field"), EVERY_FIELD)
def test_nothing_known_is_no_value(event: AnalyticsEvent, field: str) -> None:
    assert wrong(changed(event, **{field: None})) == [field]


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        (SERVED, "recommendation_id", ""),
        (SERVED, "feed_session_id", "x" * 129),
        (SERVED, "algorithm", ""),
        (SERVED, "source", "SOURCE_UNSPECIFIED"),
        (SERVED, "fallback_reason", "WHY"),
        (SERVED, "model_version", ""),
        (SERVED, "fallback_reason", "DEADLINE"),
        (SERVED, "experiments", [{"experiment_id": "e1"}]),
        (SERVED, "experiments", [{"experiment_id": "e1", "variant_id": ""}]),
        (SERVED, "video_ids", ["v1", "v1"]),
        (SERVED, "video_ids", ["v1", ""]),
        (SERVED, "positions", [0, 1]),
        (SERVED, "positions", [2, 1]),
        (SERVED, "positions", [1]),
        (CONSUMED, "video_id", ""),
        (CONSUMED, "position", 0),
        (CONSUMED, "interaction_type", "SKIP"),
        (CONSUMED, "watch_time_s", -1.0),
        (CONSUMED, "watch_time_s", float("nan")),
    ],
)
def test_a_value_that_makes_no_sense_is_found(event: AnalyticsEvent, field: str, value: Any) -> None:
    assert wrong(changed(event, **{field: value})) == [field]


def test_what_is_not_a_property_must_be_there_too() -> None:
    assert wrong(replace(SERVED, user_id="", message_id="")) == ["message_id", "user_id"]
    assert wrong(replace(SERVED, time=TIME.replace(tzinfo=None))) == ["time"]


def test_what_names_no_page_is_one_problem() -> None:
    unknown = {"position": None, "algorithm": "", "source": "", "fallback_reason": "", "model_version": ""}
    assert wrong(changed(CONSUMED, **unknown)) == ["recommendation_id"]


def test_every_problem_is_counted_by_its_field() -> None:
    class Found:
        def __init__(self) -> None:
            self.problems: list[tuple[EventName, str]] = []

        def problem_found(self, name: EventName, field: str) -> None:
            self.problems.append((name, field))

    found = Found()
    check = QualityCheck(found, monotonic=lambda: 0.0)
    check.send([SERVED, changed(SERVED, source=""), changed(SERVED, source="", video_ids=None), CONSUMED])
    assert [(name.value, field) for name, field in found.problems] == [
        ("feed_recommendation_served", field) for field in ("source", "source", "video_ids")
    ]
