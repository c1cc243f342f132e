"""`GET /feed/recommendations`: query parameters in, the contract's request out, or every error by name."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from bridge.adapters.recommendations_http import parse
from feed.common.v1 import common_pb2
from feed.recommendations.v1 import recommendations_pb2 as pb
from runtime.errors import InvalidArgumentError

USER = ("userId", "u1")


def test_every_parameter_arrives() -> None:
    request = parse(
        [
            USER,
            ("pageSize", "7"),
            ("pageToken", "t"),
            ("feedSessionId", "s"),
            ("explain", "true"),
            ("includeTags", "a"),
            ("includeTags", "b,c"),
            ("excludeTags", "d"),
            ("excludeVideoIds", "v1"),
            ("excludeVideoIds", "v2"),
            ("excludeAuthorIds", "x"),
            ("languages", "en"),
            ("maxDurationS", "1.5"),
            ("publishedAfter", "2025-09-01T00:00:00Z"),
            ("locale", "en-GB"),
            ("country", "GB"),
            ("device", "ios"),
            ("appVersion", "1.2"),
        ]
    )
    assert request == pb.GetRecommendationsRequest(
        user_id="u1",
        page_size=7,
        page_token="t",
        feed_session_id="s",
        explain=True,
        filters=common_pb2.VideoFilters(
            include_tags=["a", "b,c"],
            exclude_tags=["d"],
            exclude_video_ids=["v1", "v2"],
            exclude_author_ids=["x"],
            languages=["en"],
            max_duration_s=1.5,
            published_after=Timestamp(seconds=1_756_684_800),
        ),
        context=pb.RequestContext(locale="en-GB", country="GB", device="ios", app_version="1.2"),
    )


@pytest.mark.parametrize(
    ("parameters", "field", "text"),
    [
        pytest.param([], "userId", "1 to 128 characters", id="no-user"),
        pytest.param([("userId", "")], "userId", "1 to 128 characters", id="an-empty-user"),
        pytest.param([("userId", "x" * 1_000_000)], "userId", "1 to 128 characters", id="a-user-of-1-mb"),
        pytest.param([USER, ("pageSize", "-1")], "pageSize", "0", id="a-negative-page"),
        pytest.param([USER, ("pageSize", "101")], "pageSize", "100", id="a-huge-page"),
        pytest.param([USER, ("pageSize", "ten")], "pageSize", "whole number from 0 to 100", id="no-number"),
        pytest.param([USER, ("pageSize", "")], "pageSize", "whole number from 0 to 100", id="an-empty-number"),
        pytest.param([USER, ("pageSize", "1.5")], "pageSize", "whole number from 0 to 100", id="not-whole"),
        pytest.param([USER, ("pageSize", "99999999999")], "pageSize", "from 0 to 100", id="beyond-32-bit"),
        pytest.param([USER, ("pageSize", "9" * 100_000)], "pageSize", "from 0 to 100", id="endless-digits"),
        pytest.param([USER, ("pageSize", "\u0661")], "pageSize", "from 0 to 100", id="other-digits"),
        pytest.param([USER, ("pageSize", "1"), ("pageSize", "2")], "pageSize", "once", id="given-twice"),
        pytest.param([USER, ("maxDurationS", "nan")], "maxDurationS", "86400", id="not-a-number"),
        pytest.param([USER, ("maxDurationS", "-1")], "maxDurationS", "0", id="a-negative-duration"),
        pytest.param([USER, ("maxDurationS", "long")], "maxDurationS", "0 to 86400", id="a-worded-duration"),
        pytest.param([USER, ("publishedAfter", "yesterday")], "publishedAfter", "RFC 3339", id="no-time"),
        pytest.param([USER, ("explain", "yes")], "explain", "true or false", id="no-flag"),
        pytest.param([USER, ("country", "gb")], "country", "[A-Z]{2}", id="a-small-country"),
        pytest.param([USER, ("includeTags", "")], "includeTags[0]", "1", id="an-empty-tag"),
        pytest.param([USER, ("pagesize", "1")], "pagesize", "unknown parameter; known ones: userId", id="unknown"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_accepted(
    parameters: list[tuple[str, str]], field: str, text: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse(parameters)
    (violation,) = caught.value.violations
    assert violation.field == field
    assert text in violation.reason


def test_all_errors_come_at_once() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse([("pageSize", "x"), ("page_size", "1"), ("languages", "")])
    assert [each.field for each in caught.value.violations] == ["pageSize", "page_size", "userId", "languages[0]"]
