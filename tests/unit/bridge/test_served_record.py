"""The JSON of a served page."""

import json
from typing import Any

import pytest

from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.served_record import ServedExperiment, ServedRecord, columns, encode, instant

MAX_BYTES = 61_440


def record(**fields: Any) -> ServedRecord:
    known = {
        "recommendation_id": "r1",
        "user_id": "u1",
        "feed_session_id": "s1",
        "timestamp": "2025-09-01T12:34:56.789Z",
        "algorithm": "lightfm-warp",
        "source": Source.LIGHTFM,
        "fallback_reason": FallbackReason.NONE,
        "model_version": "m1",
        "rung": "",
        "continued": False,
        "experiments": (),
        "first_position": 21,
        "video_ids": ["v1", "v2"],
        "scores": (0.5, -0.25),
        "attempts": 1,
        "elapsed_ms": 3.25,
    }
    return ServedRecord(**{**known, **fields})


def test_what_is_always_there_and_in_this_order() -> None:
    """The contract v2025.9: consumers read it without our code."""
    assert encode(record(), MAX_BYTES) == (
        b'{"name":"feed_recommendation_served","recommendationId":"r1","userId":"u1","feedSessionId":"s1",'
        b'"timestamp":"2025-09-01T12:34:56.789Z","algorithm":"lightfm-warp","source":"LIGHTFM",'
        b'"fallbackReason":"NONE","modelVersion":"m1","rung":"","continued":false,"experiments":[],'
        b'"firstPosition":21,"videoIds":["v1","v2"],"scores":[0.5,-0.25],"attempts":1,"elapsedMs":3.25}'
    )


def test_what_is_there_when_it_is_known() -> None:
    full = record(
        experiments=[ServedExperiment("e1", "b")],
        score_parts=columns(("user_item", "prior"), (0.25, 0.25, -0.5, 0.25)),
        explored=(1,),
        propensities=(0.125,),
        filters_applied={"includeTags": ["a"]},
        removed={"seen": 3},
    )

    found = json.loads(encode(full, MAX_BYTES))

    assert found["experiments"] == [{"experiment": "e1", "variant": "b"}]
    assert list(found)[-5:] == ["scoreParts", "explored", "propensities", "filtersApplied", "removed"]
    assert [found[name] for name in list(found)[-5:]] == [
        {"user_item": [0.25, -0.5], "prior": [0.25, 0.25]},
        [1],
        [0.125],
        {"includeTags": ["a"]},
        {"seen": 3},
    ]


@pytest.mark.parametrize(
    ("time_ms", "expected"),
    [
        (1_756_730_096_789, "2025-09-01T12:34:56.789Z"),
        (1_756_730_096_000, "2025-09-01T12:34:56.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant(time_ms: int, expected: str) -> None:
    assert instant(time_ms) == expected


# The longest that the rules of the contract allow, where they allow anything.
LONGEST: dict[str, Any] = {
    "recommendation_id": "r" * 128,
    "user_id": "u" * 128,
    "feed_session_id": "s" * 128,
    "algorithm": "a" * 64,
    "model_version": "m" * 128,
    "video_ids": [f"{number:0128}" for number in range(100)],
    "scores": [0.10000000149011612] * 100,
}


def test_a_page_of_100_long_ids_keeps_its_parts() -> None:
    parts = dict.fromkeys(("user_item", "item_bias", "prior", "correction", "stages"), LONGEST["scores"])

    value = encode(record(**LONGEST, score_parts=parts), MAX_BYTES)

    assert len(value) <= MAX_BYTES
    assert json.loads(value)["scoreParts"] == parts


def test_what_is_dispensable_goes_first_when_it_is_too_large() -> None:
    parts = {f"part-{number}": LONGEST["scores"] for number in range(40)}
    filters = {"includeTags": ["t" * 128] * 20}

    value = encode(record(**LONGEST, score_parts=parts, filters_applied=filters, removed={"seen": 1}), MAX_BYTES)
    found = json.loads(value)
    tight = json.loads(encode(record(**LONGEST, score_parts=parts, filters_applied=filters), 18_000))

    assert len(value) <= MAX_BYTES
    assert "scoreParts" not in found
    assert (found["filtersApplied"], found["removed"]) == (filters, {"seen": 1})
    assert "filtersApplied" not in tight
    assert tight["videoIds"] == LONGEST["video_ids"]
