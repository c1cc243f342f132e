"""Time-decayed trending (design part 4), rising videos first."""

import pytest

from bridge.domain.trending import Gathered, Trend, rise, trends


def gathered(video_id: str, long: float, short: float = 0.0, segment: str = "global") -> Gathered:
    """A video of a segment where a fifth of all weight is of the last hours."""
    return Gathered(segment, video_id, long, short, all_long=100.0, all_short=20.0)


def test_the_heaviest_come_first_and_segments_stay_apart() -> None:
    found = trends([gathered("a", 3.0), gathered("b", 4.0), gathered("a", 1.0, segment="GB")], limit=10)
    assert found == {"global": Trend(("b", "a"), (4.0, 3.0)), "GB": Trend(("a",), (1.0,))}


def test_ties_go_by_id_and_the_list_is_cut() -> None:
    assert trends([gathered(video_id, 1.0) for video_id in "cab"], limit=2) == {"global": Trend(("a", "b"), (1.0, 1.0))}


def test_what_is_disliked_on_the_whole_does_not_trend() -> None:
    assert trends([gathered("a", -1.0)], limit=5, rising=2.0) == {"global": Trend((), ())}


def test_nothing_gathered_makes_no_trends() -> None:
    assert trends([], limit=5) == {}


@pytest.mark.parametrize(
    ("short", "expected"),
    [
        pytest.param(0.0, 0.0, id="all-of-it-long-ago"),
        pytest.param(2.0, 0.0, id="as-everybody"),
        pytest.param(6.0, 0.5, id="half-way"),
        pytest.param(10.0, 1.0, id="all-of-it-now"),
        pytest.param(10.1, 1.0, id="never-more"),
    ],
)
def test_a_rise_is_what_is_more_than_of_all_together(short: float, expected: float) -> None:
    assert rise(gathered("a", 10.0, short)) == pytest.approx(expected)


def test_where_everything_is_new_nothing_rises() -> None:
    assert rise(Gathered("global", "a", 1.0, 1.0, all_long=10.0, all_short=10.0)) == 0


@pytest.mark.parametrize(("rising", "expected"), [(0.0, ["big", "new"]), (1.0, ["big", "new"]), (2.0, ["new", "big"])])
def test_the_stronger_the_setting_the_higher_what_grows(rising: float, expected: list[str]) -> None:
    found = trends([gathered("big", 10.0, 2.0), gathered("new", 4.0, 4.0)], limit=5, rising=rising)["global"]
    assert list(found.video_ids) == expected
    assert dict(zip(found.video_ids, found.scores, strict=True)) == pytest.approx(
        {"big": 10.0, "new": 4.0 * (1 + rising)}
    )
