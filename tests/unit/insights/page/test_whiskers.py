"""Where intervals are drawn: all on one scale, a difference of 0 in the middle."""

from insights.domain.statistics import Difference
from insights.page.whiskers import Whisker, whiskers


def test_all_are_on_one_scale_and_the_widest_is_seen_whole():
    found = whiskers([Difference(0.2, 0.1, 0.4, None), Difference(-0.1, -0.2, 0.0, None)])
    assert found == [Whisker(123.5, 147.0, 194.0), Whisker(53.0, 76.5, 100.0)]


def test_nothing_and_no_difference_are_drawn_too():
    assert whiskers([]) == []
    assert whiskers([Difference(0.0, 0.0, 0.0, None)]) == [Whisker(100.0, 100.0, 100.0)]
