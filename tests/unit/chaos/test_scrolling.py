"""The judge of scrolls must find what it is for: each kind of wrong is done once, and named."""

from collections.abc import Sequence

import pytest

from feed.recommendations.v1 import recommendations_pb2 as pb
from tests.chaos.scrolling import PAGE_SIZE, Scroll

CATALOGUE = 50


def page(first: int, count: int = PAGE_SIZE, token: str = "on", names: str = "v") -> pb.GetRecommendationsResponse:
    items = [pb.Recommendation(video_id=f"{names}{first + place}", position=first + place) for place in range(count)]
    return pb.GetRecommendationsResponse(recommendations=items, next_page_token=token)


def test_a_scroll_to_the_end_is_right():
    """The last page is what is left; whether it says so itself, or an empty page after it, is the same."""
    whole = [page(1), page(21), page(41, 10, token="")]
    told_later = [page(1), page(21), page(41, 10), page(51, 0, token="")]
    for pages in (whole, told_later):
        assert (Scroll("u", pages).gaps(CATALOGUE), Scroll("u", pages).repeats()) == ([], 0)


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        pytest.param([page(1), page(22)], 1, id="a place is left out"),
        pytest.param([page(1), page(20)], 1, id="a place comes twice"),
        pytest.param([page(1, 15)], 1, id="a page is short"),
        pytest.param([page(1), page(21, token="")], 1, id="it ends before its time"),
        pytest.param([page(1), page(21, 0, token="")], 2, id="an empty page ends it before its time"),
    ],
)
def test_a_gap_is_found(pages: Sequence[pb.GetRecommendationsResponse], found: int):
    assert len(Scroll("u", list(pages)).gaps(CATALOGUE)) == found


def test_a_repeat_is_found_on_another_page():
    assert Scroll("u", [page(1), page(15)]).repeats() == 6
    assert Scroll("u", [page(1), page(15, names="w")]).repeats() == 0
