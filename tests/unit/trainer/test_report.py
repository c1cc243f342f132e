"""The report's page and its pictures."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest

from trainer.domain.bootstrap import Interval
from trainer.domain.evaluation import Evaluation
from trainer.domain.gate import DataFacts
from trainer.domain.log import DAY_S, DailyCounts
from trainer.report.charts import Axis, Line, bar_chart, interval_chart, line_chart
from trainer.report.page import Run, report_page

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        pytest.param(0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], id="from 0 to 1"),
        pytest.param(0.0, 0.11, [0.0, 0.025, 0.05, 0.075, 0.1], id="between round values"),
        pytest.param(-0.02, 0.03, [-0.02, -0.01, 0.0, 0.01, 0.02, 0.03], id="on both sides of 0"),
        pytest.param(0.0, 400_000.0, [0.0, 100_000.0, 200_000.0, 300_000.0, 400_000.0], id="large"),
    ],
)
def test_an_axis_has_round_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert Axis("", low, high, 0, 100).ticks() == pytest.approx(ticks)


def test_an_axis_runs_either_way() -> None:
    up = Axis("", 0.0, 10.0, 200.0, 20.0)
    assert [up.at(value) for value in (0.0, 5.0, 10.0)] == [200.0, 110.0, 20.0]


def test_intervals_are_drawn_where_they_are() -> None:
    """The axis goes from 92 to 544 pixels and from 0 to 1.05 times the greatest end."""
    picture = interval_chart("NDCG", [("all", [("a & b", Interval(0.5, 0.25, 1.0)), ("c", Interval(0.0, 0.0, 0.0))])])
    across = 452 / 1.05
    assert f'cx="{92 + across * 0.5:.1f}"' in picture
    assert f"M{92 + across * 0.25:.1f} " in picture
    assert f"H{92 + across:.1f}M" in picture
    assert "a &amp; b: 0.5000, 95 % 0.2500 to 1.0000" in picture
    assert len(re.findall('<g class="c[01]">', picture)) == 2


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(interval_chart("x", [("all", [("a", Interval(0.0, 0.0, 0.0))])]), id="all zero"),
        pytest.param(line_chart("x", "y", [Line("a", 0, [(0.0, 0.0)])]), id="a point"),
        pytest.param(bar_chart("x", [0], str, 0.0, "here"), id="no count"),
    ],
)
def test_what_has_no_extent_is_drawn_all_the_same(picture: str) -> None:
    assert picture.startswith("<svg ")
    assert "nan" not in picture


def run_of(refusal: str | None) -> Run:
    return Run("<b>m1</b>", WHEN, WHEN, WHEN, refusal, "a < b", {"note": "<script>"})


def test_texts_are_escaped_and_each_reason_has_a_line() -> None:
    found = Evaluation("x", 0.0, DataFacts(1, 1, 1, 0, 3, 1), DailyCounts(0, np.array([5, 0, 7])))
    page = report_page(run_of("too <few>; too old"), found)
    assert "<li>too &lt;few&gt;</li><li>too old</li>" in page
    assert not {"<b>m1</b>", "<script>", "a < b"} & set(re.findall("<b>m1</b>|<script>|a < b", page))
    assert "3, 1 without any" in page
    assert [text in page for text in ("1970-01-01: 5", "1970-01-02: 0", "1970-01-03: 7")] == [True] * 3


def test_of_a_long_log_the_newest_year_is_drawn() -> None:
    found = Evaluation("x", 999 * DAY_S, DataFacts(1, 1, 1, 0, 1000, 0), DailyCounts(0, np.ones(1000, np.int64)))
    page = report_page(run_of("x"), found)
    assert page.count('class="bar"') == 366
    assert "1972-09-26: 1" in page, "the thousandth day"
