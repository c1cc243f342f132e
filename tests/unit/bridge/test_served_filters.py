"""What a request asked of every video, in short."""

from google.protobuf.timestamp_pb2 import Timestamp

from bridge.served_filters import served_filters
from feed.common.v1 import common_pb2


def test_nothing_asked_is_nothing_told() -> None:
    assert served_filters(common_pb2.VideoFilters()) == {}


def test_words_are_told_and_ids_counted() -> None:
    filters = common_pb2.VideoFilters(
        include_tags=["a", "b\0"],
        exclude_tags=["c"],
        languages=["de"],
        exclude_languages=["en"],
        countries=["DE"],
        include_author_ids=["ann"],
        exclude_author_ids=["bob", "cleo"],
        exclude_video_ids=[f"v{number}" for number in range(1000)],
        min_duration_s=1.5,
        max_duration_s=60,
        published_after=Timestamp(seconds=1_756_730_096, nanos=789_000_000),
        published_before=Timestamp(seconds=0),
    )

    assert served_filters(filters) == {
        "includeTags": ["a", "b"],
        "excludeTags": ["c"],
        "languages": ["de"],
        "excludeLanguages": ["en"],
        "countries": ["DE"],
        "includeAuthors": 1,
        "excludeAuthors": 2,
        "excludeVideos": 1000,
        "minDurationS": 1.5,
        "maxDurationS": 60.0,
        "publishedAfter": "2025-09-01T12:34:56.789Z",
        "publishedBefore": "1970-01-01T00:00:00.000Z",
    }


def test_the_first_and_the_last_instant_of_the_contract_are_told() -> None:
    """The last one is nearer to the year 10000 than a float can tell."""
    filters = common_pb2.VideoFilters(
        published_after=Timestamp(seconds=-62_135_596_800),
        published_before=Timestamp(seconds=253_402_300_799, nanos=999_999_999),
    )

    assert served_filters(filters) == {
        "publishedAfter": "0001-01-01T00:00:00.000Z",
        "publishedBefore": "9999-12-31T23:59:59.999Z",
    }


def test_every_filter_of_the_contract_is_told() -> None:
    """A filter that the contract gains is not forgotten."""
    told = served_filters.__globals__
    named = {*told["_WORDS"], *told["_IDS"], *told["_NUMBERS"], *told["_TIMES"]}

    assert named == {field.name for field in common_pb2.VideoFilters.DESCRIPTOR.fields}


def test_of_many_words_the_first_are_told() -> None:
    tags = [f"t{number}" for number in range(100)]

    assert served_filters(common_pb2.VideoFilters(include_tags=tags)) == {"includeTags": tags[:20]}
