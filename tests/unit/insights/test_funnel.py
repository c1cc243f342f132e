"""What figures of funnels say, and what they are told apart by."""

from datetime import date

import pytest

from insights.domain.funnel import NOTHING_SERVED, Funnel, Split, Window, in_order, together, variants_of, whole_trends

ONE = Funnel(
    pages=2, served=10, pending=2, accepted=4, successful=3, watch_time_ms=9_000, confidence_match_ppm=6_000_000
)


def test_rates_are_of_what_is_decided():
    assert (ONE.acceptance_rate, ONE.watch_time_per_page_s, ONE.success_rate, ONE.confidence_match) == (
        0.4,
        4.5,
        0.375,
        0.75,
    )


def test_nothing_has_no_rates():
    nothing = NOTHING_SERVED
    assert (nothing.acceptance_rate, nothing.watch_time_per_page_s) == (0.0, 0.0)
    assert (nothing.success_rate, nothing.confidence_match) == (None, None)
    pending = Funnel(pages=1, served=1, pending=1)
    assert (pending.success_rate, pending.confidence_match) == (None, None)


def test_figures_are_added_one_by_one():
    both = together([ONE, Funnel(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)])
    assert both == Funnel(3, 12, 3, 4, 5, 8, 11, 11, 9_009, 6_000_010)
    assert together([]) == NOTHING_SERVED


@pytest.mark.parametrize(
    ("experiments", "variants"),
    [
        pytest.param("", (), id="none"),
        pytest.param('[{"experiment":"e","variant":"b"}]', ("e=b",), id="as SQLite keeps it"),
        pytest.param(
            '[{"variant": "a", "experiment": "e1"}, {"variant": "b", "experiment": "e2"}]',
            ("e1=a", "e2=b"),
            id="as PostgreSQL keeps them",
        ),
        pytest.param('[{"experiment":"e","variant":"b"},{"experiment":"e2","vari', ("e=b",), id="cut"),
        pytest.param('[{"experiment":"a{b","variant":"}"}]', ("a{b=}",), id="with braces"),
    ],
)
def test_variants_are_read_as_far_as_they_were_kept(experiments: str, variants: tuple[str, ...]):
    assert variants_of(experiments) == variants


def test_positions_follow_each_other_and_others_by_what_was_served():
    ranges = dict.fromkeys(["51-", "11-20", "4-5", "1", "2"], ONE)
    assert in_order(Split.POSITION, ranges) == ["1", "2", "4-5", "11-20", "51-"]
    assert in_order(Split.COUNTRY, {"FR": ONE, "": NOTHING_SERVED, "DE": ONE}) == ["DE", "FR", ""]


def test_days_without_anything_are_there():
    window = Window(date(2025, 2, 27), date(2025, 3, 1))
    days = {"a": {date(2025, 2, 28): ONE}, "b": {date(2025, 3, 1): together([ONE, ONE])}}
    assert whole_trends(Split.SOURCE, window, days) == [
        ("b", [NOTHING_SERVED, NOTHING_SERVED, together([ONE, ONE])]),
        ("a", [NOTHING_SERVED, ONE, NOTHING_SERVED]),
    ]
    assert whole_trends(None, window, {}) == [("", [NOTHING_SERVED] * 3)]
    assert whole_trends(Split.SOURCE, window, {}) == []
