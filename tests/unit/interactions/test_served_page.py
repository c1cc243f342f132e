"""What the sink takes for a served page."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from interactions.domain.log_record import UnreadableError
from interactions.domain.served_page import read

PAGE: dict[str, Any] = {
    "name": "feed_recommendation_served",
    "recommendationId": "r1",
    "userId": "u1",
    "feedSessionId": "s1",
    "timestamp": "2025-09-01T14:34:56.789+02:00",
    "algorithm": "lightfm-warp",
    "source": "LIGHTFM",
    "fallbackReason": "NONE",
    "modelVersion": "",
    "experiments": [],
    "firstPosition": 1,
    "videoIds": ["v1", "v2"],
    "scores": [2.0, 1.0],
}


def value(**fields: Any) -> bytes:
    return json.dumps({**PAGE, **fields}).encode()


def test_a_page_and_its_time_in_utc() -> None:
    found = read(value(filtersApplied={"languages": ["de"]}, whatComesLater={"any": 1}))

    assert found.key == "r1"
    assert found.served_time == datetime(2025, 9, 1, 12, 34, 56, 789_000, tzinfo=UTC)
    assert found.page.video_ids == ["v1", "v2"]
    assert msgspec.json.decode(found.page.filters_applied) == {"languages": ["de"]}
    assert bytes(found.page.removed) == b""


def test_a_score_that_is_no_number_is_unknown() -> None:
    assert read(value(scores=[None, 1.0])).page.scores == [None, 1.0]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"no json", id="no JSON"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="another shape"),
        pytest.param(value(name="feed_recommendation_consumed"), id="another event"),
        pytest.param(value(recommendationId=""), id="no id"),
        pytest.param(value(userId="u" * 129), id="user too long"),
        pytest.param(value(userId="u\0"), id="NUL in user"),
        pytest.param(value(videoIds=["v1", "v\0"]), id="NUL in video"),
        pytest.param(value(algorithm="\0"), id="NUL in algorithm"),
        pytest.param(value(source="S" * 17), id="source too long"),
        pytest.param(value(timestamp="2025-09-01T12:34:56"), id="no zone"),
        pytest.param(value(timestamp="yesterday"), id="no time"),
        pytest.param(value(firstPosition=0), id="position before the first"),
        pytest.param(value(firstPosition=2**31), id="position beyond the column"),
        pytest.param(value(videoIds=["v"] * 101, scores=[1.0] * 101), id="too many videos"),
        pytest.param(value(scores=[1.0]), id="a score is missing"),
        pytest.param(value(scoreParts={"prior": [1.0]}), id="a part is missing"),
        pytest.param(value(explored=[0]), id="a propensity is missing"),
        pytest.param(value(explored=[2], propensities=[0.5]), id="no such place"),
        pytest.param(value(explored=[-1], propensities=[0.5]), id="a place before the first"),
    ],
)
def test_what_breaks_the_contract_is_unreadable(bad: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(bad)
