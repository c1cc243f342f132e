"""`feed.served.v1`: what the bridge writes is what the sink reads, field by field."""

import msgspec

from bridge.domain import served_record
from bridge.domain.outcome import FallbackReason, Source
from bridge.domain.served_record import ServedExperiment, ServedRecord
from interactions.domain import served_page
from interactions.domain.served_page import ServedPage

WRITTEN = ServedRecord(
    recommendation_id="r1",
    user_id="u1",
    feed_session_id="s1",
    timestamp=served_record.instant(1_756_730_096_789),
    algorithm="trending",
    source=Source.TRENDING,
    fallback_reason=FallbackReason.CIRCUIT_OPEN,
    model_version="m1",
    rung="trending_country",
    continued=True,
    experiments=(ServedExperiment("e1", "b"),),
    first_position=21,
    video_ids=("v1", "v2"),
    scores=(0.5, float("nan")),
    attempts=2,
    elapsed_ms=12.5,
    score_parts={"user_item": (0.25, 0.5), "prior": (0.25, -0.5)},
    explored=(1,),
    propensities=(0.125,),
    filters_applied={"includeTags": ["a"]},
    removed={"seen": 3},
)

# For people and analytics; the tables have no column for them.
NOT_STORED = {"rung", "continued", "attempts"}


def test_every_field_arrives() -> None:
    found = served_page.read(served_record.encode(WRITTEN, 61_440))
    page = msgspec.json.decode(msgspec.json.encode(found.page))

    assert found.served_time.timestamp() == 1_756_730_096.789
    assert page == {
        "name": "feed_recommendation_served",
        "recommendationId": "r1",
        "userId": "u1",
        "feedSessionId": "s1",
        "timestamp": "2025-09-01T12:34:56.789Z",
        "algorithm": "trending",
        "source": "TRENDING",
        "fallbackReason": "CIRCUIT_OPEN",
        "modelVersion": "m1",
        "experiments": [{"experiment": "e1", "variant": "b"}],
        "firstPosition": 21,
        "videoIds": ["v1", "v2"],
        "scores": [0.5, None],
        "elapsedMs": 12.5,
        "scoreParts": {"user_item": [0.25, 0.5], "prior": [0.25, -0.5]},
        "explored": [1],
        "propensities": [0.125],
        "filtersApplied": {"includeTags": ["a"]},
        "removed": {"seen": 3},
    }


def test_writer_and_reader_name_the_same_fields() -> None:
    assert {*ServedRecord.__struct_fields__} - {*ServedPage.__struct_fields__} == NOT_STORED
    assert {*ServedPage.__struct_fields__} <= {*ServedRecord.__struct_fields__}
    assert served_record.EVENT_NAME == served_page.EVENT_NAME


def test_every_source_and_reason_fits_its_column() -> None:
    for source in Source:
        for reason in FallbackReason:
            told = msgspec.structs.replace(WRITTEN, source=source, fallback_reason=reason)
            found = served_page.read(served_record.encode(told, 61_440)).page
            assert (found.source, found.fallback_reason) == (source, reason)
