"""The rules that need the clock or two fields; trending weights; backoff."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interactions.domain.backoff import delay_s
from interactions.domain.event import BrokenRule, InteractionEvent, InteractionType
from interactions.domain.rules import broken_rules, instant
from interactions.domain.weights import WEIGHTS, trending_weight

NOW = datetime(2025, 9, 1, 12, tzinfo=UTC)
GOOD = InteractionEvent("u1", "v1", InteractionType.VIEW, 3.0, NOW)
RANGE = "must be from 2025-08-02T12:00:00.000Z to 2025-09-01T12:05:00.000Z"
NO_NUL = "must not contain the character U+0000"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="now"),
        pytest.param({"event_time": NOW - timedelta(days=30)}, id="30 days ago"),
        pytest.param({"event_time": NOW + timedelta(minutes=5)}, id="5 minutes ahead"),
        pytest.param({"interaction_type": InteractionType.RATE, "rating": 0.0}, id="rated nothing"),
        pytest.param({"metadata": {"a": "\\u0000"}}, id="a backslash is no NUL"),
    ],
)
def test_good_events_break_no_rule(change: dict[str, Any]) -> None:
    assert broken_rules(replace(GOOD, **change), NOW) == ()


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        pytest.param(
            {"event_time": NOW - timedelta(days=30, milliseconds=1)},
            "timestamp",
            f"{RANGE}, is 2025-08-02T11:59:59.999Z",
            id="too old",
        ),
        pytest.param(
            {"event_time": NOW + timedelta(minutes=5, milliseconds=1)},
            "timestamp",
            f"{RANGE}, is 2025-09-01T12:05:00.001Z",
            id="too far ahead",
        ),
        pytest.param(
            {"event_time": datetime(1970, 1, 1, tzinfo=UTC)},
            "timestamp",
            f"{RANGE}, is 1970-01-01T00:00:00.000Z",
            id="1970",
        ),
        pytest.param({"rating": 5.0}, "rating", "must be absent unless interactionType is RATE", id="rated a view"),
        pytest.param(
            {"interaction_type": InteractionType.RATE},
            "rating",
            "must be given with interactionType RATE, 0 to 10",
            id="rate without rating",
        ),
        pytest.param({"algorithm": "a\x00"}, "algorithm", NO_NUL, id="NUL in algorithm"),
        pytest.param({"model_version": "\x00"}, "modelVersion", NO_NUL, id="NUL in model version"),
        pytest.param({"served_token": "\x00"}, "servedToken", NO_NUL, id="NUL in token"),
        pytest.param({"metadata": {"a": "b\x00"}}, "metadata", NO_NUL, id="NUL in metadata value"),
        pytest.param({"metadata": {"\x00": "b"}}, "metadata", NO_NUL, id="NUL in metadata key"),
    ],
)
def test_a_broken_rule_names_field_and_range(change: dict[str, Any], field: str, reason: str) -> None:
    assert broken_rules(replace(GOOD, **change), NOW) == (BrokenRule(field, reason),)


def test_all_broken_rules_are_told() -> None:
    event = replace(GOOD, event_time=NOW + timedelta(days=365), rating=1.0, algorithm="\x00")

    assert [rule.field for rule in broken_rules(event, NOW)] == ["timestamp", "rating", "algorithm"]


def test_instants_are_utc_with_milliseconds() -> None:
    paris = datetime.fromisoformat("2025-09-01T14:00:00.123999+02:00")

    assert instant(paris) == "2025-09-01T12:00:00.123Z"


@pytest.mark.parametrize(
    ("interaction_type", "watch_time_s", "duration_s", "weight"),
    [
        pytest.param("VIEW", 0.0, 10.0, 0.0, id="not watched"),
        pytest.param("VIEW", 5.0, 10.0, 0.05, id="watched half"),
        pytest.param("VIEW", 30.0, 10.0, 0.1, id="watched three times counts once"),
        pytest.param("VIEW", 3.0, None, 0.1, id="length unknown"),
        pytest.param("CLICK", 0.0, None, 0.3, id="click"),
        pytest.param("LIKE", 99.0, 10.0, 0.7, id="like whatever was watched"),
        pytest.param("SHARE", 0.0, None, 1.0, id="share"),
        pytest.param("COMMENT", 0.0, None, 0.7, id="comment"),
        pytest.param("FOLLOW", 0.0, None, 0.7, id="follow"),
        pytest.param("SKIP", 5.0, 10.0, 0.0, id="skip"),
        pytest.param("HIDE", 5.0, 10.0, 0.0, id="hide"),
        pytest.param("RATE", 0.0, None, 0.0, id="rate"),
    ],
)
def test_trending_weight(interaction_type: str, watch_time_s: float, duration_s: float | None, weight: float) -> None:
    assert trending_weight(InteractionType(interaction_type), watch_time_s, duration_s) == pytest.approx(weight)


def test_every_type_has_a_weight() -> None:
    assert WEIGHTS.keys() == set(InteractionType)


@pytest.mark.parametrize(
    ("attempt", "jitter", "expected_s"),
    [(1, 0.0, 0.1), (2, 0.0, 0.2), (3, 0.5, 0.3), (7, 0.0, 5.0), (1_000_000, 0.0, 5.0), (7, 1.0, 2.5)],
)
def test_backoff_doubles_up_to_a_bound(attempt: int, jitter: float, expected_s: float) -> None:
    assert delay_s(attempt, jitter) == pytest.approx(expected_s)
