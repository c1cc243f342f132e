"""What was served and consumed gets to product analytics: with every field, at least once, under one id."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from insights.adapters.analytics_database import DatabaseAnalytics
from insights.adapters.segment import SegmentAnalytics
from insights.app import build
from insights.domain.analytics import Destination, EventName
from insights.forwarder import Forwarder
from insights.ports import AnalyticsError
from insights.settings import InsightsSettings
from interactions.domain.event import InteractionType
from runtime.settings import SettingsError, load
from tests.integration.insights.books import BEGIN, Books, event, page
from tests.secret_files import write_secret
from tests.segment import SegmentServer

VIEW, LIKE, SKIP = (InteractionType(name) for name in ("VIEW", "LIKE", "SKIP"))
CALM = [{"experiment": "calm", "variant": "b"}]


class Told:
    """What the forwarder told of itself."""

    def __init__(self) -> None:
        self.taken: dict[EventName, int] = dict.fromkeys(EventName, 0)
        self.failures = 0

    def forwarded(self, name: EventName, count: int) -> None:
        self.taken[name] += count

    def forwarding_failed(self) -> None:
        self.failures += 1


@pytest.fixture
def segment() -> Iterator[SegmentServer]:
    with SegmentServer() as server:
        yield server


def reader(books: Books) -> DatabaseAnalytics:
    """What reads the tables, some time after whatever happens."""
    return DatabaseAnalytics(books.database, Destination.SEGMENT, lambda: books.time + timedelta(minutes=1))


@pytest.fixture
async def forwarder(books: Books, segment: SegmentServer) -> Forwarder:
    """A forwarder that has begun."""
    made = Forwarder(reader(books), SegmentAnalytics("the key", segment.host), Told())
    await all_of(made)
    return made


async def all_of(forwarder: Forwarder) -> None:
    """Forwards everything there is."""
    while await forwarder.round():
        pass


def told(segment: SegmentServer, name: EventName) -> list[dict[str, Any]]:
    return [each for each in segment.events if each["event"] == name.value]


async def test_every_field_of_what_was_served_arrives(
    books: Books, forwarder: Forwarder, segment: SegmentServer
) -> None:
    await books.serve(page("r1", ["v1", "v2"], firstPosition=21, experiments=CALM))
    await books.serve(page("r2", ["v3"], source="TRENDING", algorithm="trending", fallbackReason="DEADLINE"))
    await all_of(forwarder)
    first, second = told(segment, EventName.SERVED)
    assert {name: first[name] for name in ("type", "userId", "messageId", "timestamp")} == {
        "type": "track",
        "userId": "u1",
        "messageId": "r1",
        "timestamp": BEGIN.isoformat(timespec="milliseconds"),
    }
    assert first["properties"] == {
        "recommendation_id": "r1",
        "feed_session_id": "s1",
        "algorithm": "lightfm-warp",
        "source": "LIGHTFM",
        "fallback_reason": "NONE",
        "model_version": "m1",
        "experiments": [{"experiment_id": "calm", "variant_id": "b"}],
        "video_ids": ["v1", "v2"],
        "positions": [21, 22],
    }
    assert set(second["properties"]) == set(first["properties"])
    assert (second["properties"]["fallback_reason"], second["properties"]["experiments"]) == ("DEADLINE", [])
    assert segment.keys == {"the key"}


async def test_every_field_of_what_was_consumed_arrives(
    books: Books, forwarder: Forwarder, segment: SegmentServer
) -> None:
    """What was skipped was not consumed, and what names no page was not recommended."""
    await books.serve(page("r1", ["v1", "v2"], experiments=CALM))
    viewed = event(VIEW, BEGIN + timedelta(seconds=7), video_id="v2", watch_time=6.5, feed_session_id="s1")
    await books.act(viewed)
    # One after the other: the events of one batch have their rows in no order.
    await books.act(event(SKIP), event(LIKE, recommendation_id=""), event(LIKE, recommendation_id="unknown"))
    await all_of(forwarder)
    first, second = told(segment, EventName.CONSUMED)
    assert (first["userId"], first["messageId"]) == ("u1", viewed.key)
    assert first["properties"] == {
        "recommendation_id": "r1",
        "feed_session_id": "s1",
        "video_id": "v2",
        "position": 2,
        "interaction_type": "VIEW",
        "watch_time_s": 6.5,
        "algorithm": "lightfm-warp",
        "source": "LIGHTFM",
        "fallback_reason": "NONE",
        "model_version": "m1",
        "experiments": [{"experiment_id": "calm", "variant_id": "b"}],
    }
    assert set(second["properties"]) >= set(first["properties"]) - {"position"}
    assert second["properties"]["recommendation_id"] == "unknown"


async def test_as_many_pages_arrive_as_were_served(books: Books, forwarder: Forwarder, segment: SegmentServer) -> None:
    for number in range(12):
        await books.serve(*(page(f"r{number}-{each}") for each in range(100)))
    await all_of(forwarder)
    assert len({each["messageId"] for each in told(segment, EventName.SERVED)}) == len(segment.events) == 1_200
    assert max(map(len, segment.batches)) == 100


@pytest.mark.parametrize("status", [429, 500, 401])
async def test_what_was_refused_comes_again_under_the_same_id(
    books: Books, forwarder: Forwarder, segment: SegmentServer, status: int
) -> None:
    await books.serve(page("r1"))
    await books.act(event(LIKE))
    segment.refuses = status
    for _ in range(2):
        with pytest.raises(AnalyticsError, match=f"Segment: {status}"):
            await forwarder.round()
    segment.refuses = 0
    await all_of(forwarder)
    assert segment.refused == 2
    assert [each["event"] for each in segment.events] == ["feed_recommendation_served", "feed_recommendation_consumed"]


async def test_a_new_forwarder_goes_on_where_the_last_one_was(books: Books, forwarder: Forwarder) -> None:
    await books.serve(page("r1"))
    await all_of(forwarder)
    await books.serve(page("r2"))
    with SegmentServer() as another:
        told_of = Told()
        later = Forwarder(reader(books), SegmentAnalytics("k", another.host), told_of)
        await all_of(later)
        assert [each["messageId"] for each in another.events] == ["r2"]
        assert told_of.taken[EventName.SERVED] == 1


async def test_a_segment_that_is_not_there_is_an_error_without_its_address(books: Books) -> None:
    with SegmentServer() as gone:
        host = gone.host
    nowhere = Forwarder(reader(books), SegmentAnalytics("k", host), Told())
    await all_of(nowhere)
    await books.serve(page("r1"))
    with pytest.raises(AnalyticsError, match=r"^Segment: ConnectionError$"):
        await nowhere.round()


def told_by(settings: InsightsSettings) -> list[str]:
    others = build(settings)._others
    return [type(each._analytics).__name__ for each in others if isinstance(each, Forwarder)]


async def test_what_was_done_before_its_page_is_there_is_told_with_it(books: Books, segment: SegmentServer) -> None:
    """A page is a second or two behind; what is told of it must be whole."""
    late = DatabaseAnalytics(books.database, Destination.SEGMENT, lambda: books.time)
    soon = Forwarder(late, SegmentAnalytics("k", segment.host), Told())
    await all_of(soon)
    await books.act(event(LIKE))
    await all_of(soon)
    assert segment.events == []
    await books.serve(page("r1"))
    books.time += timedelta(seconds=6)
    await all_of(soon)
    (consumed,) = told(segment, EventName.CONSUMED)
    assert (consumed["properties"]["source"], consumed["properties"]["position"]) == ("LIGHTFM", 1)


async def test_without_a_key_nobody_is_told(tmp_path: Path) -> None:
    environ = {"FEED_DATA_DIR": str(tmp_path), "FEED_DATABASE_URL": f"sqlite:///{tmp_path / 'feed.db'}"}
    key = tmp_path / "key"
    write_secret(key, "abc\n")
    assert told_by(load(InsightsSettings, environ)) == ["QualityCheck"]
    told_to = load(InsightsSettings, {**environ, "FEED_INSIGHTS_SEGMENT_WRITE_KEY_FILE": str(key)})
    assert told_by(told_to) == ["QualityCheck", "SegmentAnalytics"]
    assert told_to.segment_write_key == "abc"
    key.write_text(" ")
    with pytest.raises(SettingsError, match=r"FEED_INSIGHTS_SEGMENT_WRITE_KEY_FILE.*the file is empty"):
        load(InsightsSettings, {**environ, "FEED_INSIGHTS_SEGMENT_WRITE_KEY_FILE": str(key)})
