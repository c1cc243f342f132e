"""The rules of the proto files as callers hear them: the JSON name of the field and the accepted range."""

import math
from typing import Any

import pytest

from feed.interactions.v1.interactions_pb2 import Interaction
from feed.recommendations.v1.recommendations_pb2 import GetRecommendationsRequest
from runtime.errors import InvalidArgumentError, Violation
from runtime.validation import check, require_valid

ID_RULE = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"


def interaction(**changes: object) -> Interaction:
    values: dict[str, Any] = {
        "user_id": "u1",
        "video_id": "v1",
        "interaction_type": "VIEW",
        "watch_time_s": 1.5,
        **changes,
    }
    made = Interaction(**values)
    made.timestamp.FromSeconds(1_790_000_000)
    return made


def test_a_good_interaction_breaks_no_rule():
    assert check(interaction()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"user_id": ""}, Violation("userId", ID_RULE), id="no user"),
        pytest.param({"user_id": "x" * 1_000_000}, Violation("userId", ID_RULE), id="1 MB id"),
        pytest.param({"video_id": "v 1"}, Violation("videoId", ID_RULE), id="space in id"),
        pytest.param(
            {"watch_time_s": -1},
            Violation("watchTime", "must be greater than or equal to 0 and less than or equal to 86400"),
            id="negative watch time",
        ),
        pytest.param(
            {"interaction_type": 77},
            Violation("interactionType", "must be one of VIEW, CLICK, LIKE, SHARE, COMMENT, FOLLOW, SKIP, HIDE, RATE"),
            id="unknown type",
        ),
        pytest.param({"event_id": "7"}, Violation("eventId", "must be a valid UUID"), id="event id is no UUID"),
    ],
)
def test_a_broken_rule_names_the_field_and_the_range(changes: dict[str, object], expected: Violation):
    assert check(interaction(**changes)) == [expected]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_watch_time_must_be_a_number(value: float):
    assert [violation.field for violation in check(interaction(watch_time_s=value))] == ["watchTime"]


def test_a_nested_field_is_named_with_its_path():
    request = GetRecommendationsRequest(user_id="u1", recent_interactions=[interaction(), interaction(video_id="")])
    assert check(request) == [Violation("recentInteractions[1].videoId", ID_RULE)]


@pytest.mark.parametrize(("size", "accepted"), [(-1, False), (0, True), (100, True), (101, False)])
def test_page_size_bounds(size: int, accepted: bool):
    request = GetRecommendationsRequest(user_id="u1", page_size=size)
    if accepted:
        require_valid(request)
    else:
        with pytest.raises(InvalidArgumentError, match="pageSize: must be greater than or equal to 0 and less"):
            require_valid(request)
