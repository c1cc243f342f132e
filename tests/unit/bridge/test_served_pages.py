"""The record of a served page is made of the page and of what the scorer said of it."""

import struct
from typing import Any

import pytest

from bridge.domain.served_record import ServedRecord, encode
from bridge.fakes import Act, FakeClock
from bridge.served_pages import ServedPages
from feed.common.v1 import common_pb2
from feed.scoring.v1 import scoring_pb2
from tests.unit.bridge.test_service import Bridge, bridge, ids

PARTS = {"user_item": [3.0, 2.0, 1.0], "prior": [0.5, 0.5, 0.5]}


def told(**fields: Any) -> scoring_pb2.RankResponse:
    rows = [value for row in zip(*PARTS.values(), strict=True) for value in row]
    answer = {
        "compact_video_ids": "v0\nv1\nv2\nv3",
        "compact_scores": struct.pack("<4f", 3.5, 2.5, 1.5, 0.5),
        "part_names": list(PARTS),
        "compact_parts": struct.pack(f"<{len(rows)}f", *rows),
        "explored": [1, 3],
        "propensities": [0.25, 0.125],
        "removed": {"seen": 7},
    }
    return scoring_pb2.RankResponse(**{**answer, **fields})


class Taken:
    """The port `Served`: keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[ServedRecord] = []

    def take(self, record: ServedRecord) -> None:
        self.records.append(record)


def telling(answer: scoring_pb2.RankResponse) -> tuple[Bridge, Taken]:
    made, taken = bridge([Act(answer)]), Taken()
    made.service._observer = ServedPages(taken, FakeClock())
    return made, taken


async def test_a_page_of_the_model_is_told_with_the_parts_of_its_scores() -> None:
    made, taken = telling(told())
    page = await made.page(page_size=3, filters=common_pb2.VideoFilters(languages=["en"]))
    (record,) = taken.records
    assert (record.recommendation_id, record.user_id) == (page.recommendation_id, "u1")
    assert list(record.video_ids) == ids(page) == ["v0", "v1", "v2"]
    assert {name: list(values) for name, values in record.score_parts.items()} == PARTS
    for place, score in enumerate(record.scores):
        assert sum(values[place] for values in record.score_parts.values()) == pytest.approx(score)
    assert (list(record.explored), list(record.propensities)) == ([1], [0.25])
    assert (record.filters_applied, record.removed) == ({"languages": ["en"]}, {"seen": 7})


async def test_parts_follow_their_videos() -> None:
    """A video that the bridge itself keeps off the page moves all places behind it."""
    made, taken = telling(told())
    await made.page(page_size=2, filters=common_pb2.VideoFilters(exclude_video_ids=["v0"]))
    (record,) = taken.records
    assert list(record.video_ids) == ["v1", "v2"]
    assert {name: list(values) for name, values in record.score_parts.items()} == {
        "user_item": [2.0, 1.0],
        "prior": [0.5, 0.5],
    }
    assert (list(record.explored), list(record.propensities)) == ([0], [0.25])


async def test_parts_are_not_told_when_one_is_missing() -> None:
    made, taken = telling(told())
    await made.page(page_size=3, filters=common_pb2.VideoFilters(exclude_video_ids=["v0"]))
    (record,) = taken.records
    assert list(record.video_ids) == ["v1", "v2", "v3"]
    assert not record.score_parts
    assert (list(record.explored), list(record.propensities)) == ([0, 2], [0.25, 0.125])


async def test_a_later_page_is_told_with_its_places_and_without_parts() -> None:
    made, taken = telling(told())
    page = await made.page(page_size=2)
    await made.page(page_size=2, page_token=page.next_page_token)
    first, second = taken.records
    assert (first.first_position, second.first_position, second.continued) == (1, 3, True)
    assert not second.score_parts


async def test_new_videos_keep_their_propensity_on_later_pages() -> None:
    """Most of the places that are kept for them are there; a page without one tells of none."""
    made, taken = telling(told())
    page = await made.page(page_size=1)
    for _ in range(3):
        page = await made.page(page_size=1, page_token=page.next_page_token)
    explored = [(list(record.explored), list(record.propensities)) for record in taken.records]
    assert explored == [([], []), ([0], [0.25]), ([], []), ([0], [0.125])]
    assert b"explored" not in encode(taken.records[2], 10_000)


async def test_an_answer_that_tells_of_places_which_are_not_there_is_served_all_the_same() -> None:
    made, taken = telling(told(explored=[1, 4, -1], propensities=[0.25, 0.5]))
    assert ids(await made.page(page_size=4)) == ["v0", "v1", "v2", "v3"]
    assert (list(taken.records[0].explored), list(taken.records[0].propensities)) == ([1], [0.25])


async def test_parts_of_too_few_videos_are_not_told() -> None:
    made, taken = telling(told(compact_parts=b"1234"))
    await made.page(page_size=3)
    assert not taken.records[0].score_parts
