"""The service serves a user's own list as what it is, page after page (issue 4, item 6)."""

import pytest

from bridge.domain.ladder import Rung, RungName, Skip, Skipped
from bridge.domain.outcome import Source
from bridge.fakes import FixedLists
from feed.recommendations.v1 import recommendations_pb2 as pb
from tests.unit.bridge.test_service import HANGS, LADDERS, Bridge, bridge, ids

OWN = Rung(
    RungName.PRECOMPUTED,
    Source.PRECOMPUTED,
    "lightfm-warp",
    [f"o{number}" for number in range(30)],
    [30.0 - number for number in range(30)],
    "m7",
)


def made(own: Rung | Skipped) -> tuple[Bridge, FixedLists]:
    running = bridge([HANGS])
    lists = FixedLists(LADDERS, own)
    running.service._lists = lists
    return running, lists


async def test_it_is_said_who_ranked_and_further_pages_go_on() -> None:
    running, _ = made(OWN)
    first = await running.page()
    second = await running.page(page_token=first.next_page_token)
    for page in (first, second):
        assert (page.source, page.fallback_reason) == (pb.PRECOMPUTED, pb.DEADLINE)
        assert (page.algorithm, page.model_version) == ("lightfm-warp", "m7")
    assert ids(first) + ids(second) == OWN.video_ids
    assert [record.rung for record in running.recorder.pages] == ["precomputed", ""]


async def test_the_ladder_is_told_what_is_left_of_the_deadline() -> None:
    running, lists = made(OWN)
    await running.page(0.100)
    (left_s,) = lists.lefts_s
    assert left_s == pytest.approx(0.010)  # the reserve: the rest went into attempts
    assert running.recorder.pages[0].budget_left_s > 0


async def test_why_it_did_not_serve_is_told() -> None:
    running, _ = made(Skipped(RungName.PRECOMPUTED, Skip.TIMEOUT))
    page = await running.page()
    assert page.source == pb.TRENDING
    assert running.recorder.pages[0].skipped == (("precomputed", Skip.TIMEOUT),)
