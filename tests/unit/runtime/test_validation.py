"""The rules of the proto files as callers hear them: the JSON name of the field and the accepted range."""

import math
from typing import Any

import pytest

from feed.interactions.v1.interactions_pb2 import Interaction
from feed.recommendations.v1.recommendations_pb2 import GetRecommendationsRequest
from feed.scoring.v1.scoring_pb2 import RankBatchRequest, RankRequest, ScoreCorrection
from runtime.errors import MAX_TOLD_VIOLATIONS, InvalidArgumentError, Violation
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


def test_of_a_list_that_is_too_long_no_element_is_looked_at():
    """Their rules are a computation each: half a million empty ones held the scorer up for minutes."""
    request = RankBatchRequest.FromString(b"\x0a\x00" * 500_000)
    assert check(request) == [Violation("requests", "must hold at most 256, holds 500000")]


def test_a_map_that_is_too_large_is_named_with_its_path():
    request = GetRecommendationsRequest(
        user_id="u1", recent_interactions=[interaction(metadata={str(number): "" for number in range(21)})]
    )
    assert check(request) == [Violation("recentInteractions[0].metadata", "must hold at most 20, holds 21")]


@pytest.mark.parametrize(
    ("seconds", "nanos", "accepted"),
    [
        (-62_135_596_800, 0, True),
        (-62_135_596_801, 999_999_999, False),
        (253_402_300_799, 999_999_999, True),
        (253_402_300_800, 0, False),
        (0, -1, False),
        (0, 1_000_000_000, False),
    ],
)
def test_a_time_must_be_one_that_a_calendar_holds(seconds: int, nanos: int, accepted: bool):
    """Conversions raise beyond it."""
    request = RankRequest(user_id="u1")
    request.filters.published_after.seconds, request.filters.published_after.nanos = seconds, nanos
    assert [each.field for each in check(request)] == ([] if accepted else ["filters.publishedAfter"])


def test_a_key_from_outside_is_cut_before_it_is_told_back():
    [found] = check(interaction(metadata={"k" * 10_000: ""}))
    assert len(found.field) < 100


def test_of_many_broken_rules_the_first_are_told():
    error = InvalidArgumentError([Violation(f"field{number}", "is wrong") for number in range(1_000)])
    assert len(error.violations) == MAX_TOLD_VIOLATIONS
    assert error.message.endswith("field19: is wrong; and 980 more")


@pytest.mark.parametrize(("size", "accepted"), [(-1, False), (0, True), (100, True), (101, False)])
def test_page_size_bounds(size: int, accepted: bool):
    request = GetRecommendationsRequest(user_id="u1", page_size=size)
    if accepted:
        require_valid(request)
    else:
        with pytest.raises(InvalidArgumentError, match="pageSize: must be greater than or equal to 0 and less"):
            require_valid(request)


@pytest.mark.parametrize(("requests", "told"), [(2, 2 * 90), (3, 1)])
def test_of_a_batch_with_very_much_in_it_the_first_broken_rule_is_told_alone(requests: int, told: int):
    """All of 64 requests with 1,000 corrections each took 2 s, in which a scorer answered nobody."""
    empty = RankRequest(user_id="u1", k=1, corrections=[ScoreCorrection()] * 90)
    broken = check(RankBatchRequest(requests=[empty] * requests))
    assert len(broken) == told
    assert broken[0].field == "requests[0].corrections[0].kind"
