"""Which corrections make sense; the error names the field and what is accepted."""

import math

import pytest

from storage.correction_rules import CorrectionError, Rule, problems_of, problems_of_entry


@pytest.mark.parametrize(
    "rule",
    [
        Rule("BLOCK", video_id="v1"),
        Rule("BLOCK", target_factor="tag", target_value="cats", user_id="u1", media_type="video"),
        Rule("BOOST", video_id="v1", value=100.0),
        Rule("REDUCE", target_factor="author", target_value="ann", value=0.5),
        Rule("BOOST", video_id="v1", target_factor="language", target_value="en", value=-1.0),
        Rule("REWEIGHT", target_factor="prior", value=0.0),
        Rule("REWEIGHT", target_factor="user_item", value=2.0, video_id="v1"),
    ],
    ids=str,
)
def test_what_makes_sense(rule: Rule) -> None:
    assert problems_of(rule) == ()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        pytest.param(Rule("boost", video_id="v1", value=1.0), "correction_type: must be one of BOOST", id="type"),
        pytest.param(Rule("BLOCK"), "video_id: name a video, or an author", id="all-videos"),
        pytest.param(Rule("BOOST", video_id="v1"), "correction_value: must be a number from -100 to 100", id="none"),
        pytest.param(Rule("BOOST", video_id="v1", value=100.5), "correction_value: must be", id="too-much"),
        pytest.param(Rule("REDUCE", video_id="v1", value=0.0), "correction_value: must not be 0", id="nothing"),
        pytest.param(Rule("BLOCK", "", "v1", "a\0"), "media_type: must not hold a NUL", id="nul"),
        pytest.param(Rule("BOOST", video_id="v1", value=math.nan), "correction_value: must be", id="no-number"),
        pytest.param(Rule("BLOCK", video_id="v1", value=math.inf), "correction_value: must be", id="infinite"),
        pytest.param(Rule("BLOCK", video_id="a b"), "video_id: must be 1 to 128 characters of", id="video"),
        pytest.param(Rule("BLOCK", video_id="v" * 129), "video_id: must be 1 to 128 characters of", id="long-video"),
        pytest.param(Rule("BLOCK", video_id="v", user_id="ü"), "user_id: must be 1 to 128 characters of", id="user"),
        pytest.param(
            Rule("BLOCK", target_factor="colour", target_value="red"),
            "target_factor: must be one of author, tag, language for BLOCK",
            id="factor",
        ),
        pytest.param(Rule("BLOCK", target_factor="tag"), "target_value: goes with target_factor", id="half-a-target"),
        pytest.param(Rule("BLOCK", "", "v1", target_value="x"), "target_value: goes with", id="the-other-half"),
        pytest.param(
            Rule("BLOCK", target_factor="tag", target_value="x" * 129),
            "target_value: must be at most 128 characters",
            id="long-target",
        ),
        pytest.param(
            Rule("BLOCK", target_factor="language", target_value="x" * 36),
            "target_value: must be at most 35 characters",
            id="long-language",
        ),
        pytest.param(
            Rule("REWEIGHT", target_factor="tag", target_value="cats", value=1.0),
            "target_factor: must be one of user_item, item_bias, prior for REWEIGHT",
            id="part",
        ),
        pytest.param(Rule("REWEIGHT", value=1.0), "target_factor: must be one of user_item", id="no-part"),
        pytest.param(
            Rule("REWEIGHT", target_factor="prior", target_value="x", value=1.0),
            "target_value: must be empty for REWEIGHT",
            id="part-with-value",
        ),
        pytest.param(Rule("BLOCK", video_id="v", media_type="x" * 65), "media_type: must be at most 64", id="media"),
    ],
)
def test_what_makes_no_sense(rule: Rule, text: str) -> None:
    assert str(CorrectionError(problems_of(rule))).startswith(text)


def test_every_wrong_field_is_named() -> None:
    found = problems_of(Rule("BOOST", user_id="a b", target_factor="x", value=101.0))
    assert [each.field for each in found] == ["user_id", "target_factor", "correction_value"]


@pytest.mark.parametrize(
    ("reason", "admin_id", "fields"),
    [("why", "ann", []), ("", "", ["reason", "admin_id"]), ("x" * 1001, "x" * 129, ["reason", "admin_id"])],
    ids=["given", "empty", "too-long"],
)
def test_why_and_by_whom_must_be_told(reason: str, admin_id: str, fields: list[str]) -> None:
    assert [each.field for each in problems_of_entry(reason, admin_id)] == fields
