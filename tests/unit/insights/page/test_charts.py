"""What a chart is drawn from."""

from datetime import UTC, date, datetime, timedelta

import pytest

from insights.page.charts import COLOURS, Chart, Series, Unit
from insights.page.overview import sources_chart

DAY = date(2026, 11, 20)
NEXT, LAST = DAY + timedelta(days=1), DAY + timedelta(days=2)


def test_places_are_told_and_drawn():
    chart = Chart("t", "x", [DAY], [Series("a", [0.5])], Unit.SHARE)
    time = datetime(2026, 11, 20, 6, tzinfo=UTC)
    assert (chart.place_text(DAY), chart.place_value(DAY), chart.is_over_time) == ("2026-11-20", 1_795_132_800, True)
    assert (chart.place_text(time), chart.place_value(time)) == ("2026-11-20 06:00 UTC", 1_795_132_800 + 6 * 3600)
    assert not Chart("t", "x", [1.0], [Series("a", [1])]).is_over_time


@pytest.mark.parametrize(
    "series", [[Series("a", [1, 2])], [Series(str(n), [1]) for n in range(COLOURS + 1)]], ids=["too-long", "too-many"]
)
def test_what_cannot_be_drawn_is_refused(series: list[Series]):
    with pytest.raises(ValueError, match="t: "):
        Chart("t", "x", [1.0], series)


@pytest.mark.parametrize("series", [[], [Series("a", [None])]], ids=["no-series", "no-value"])
def test_a_chart_of_nothing_says_so(series: list[Series]):
    assert Chart("t", "x", [1.0], series).is_empty


def test_sources_have_their_shares_of_each_day_the_largest_first():
    served = {(DAY, "TRENDING"): 1, (DAY, "LIGHTFM"): 3, (LAST, "LIGHTFM"): 2}
    chart = sources_chart(served)
    assert chart.places == [DAY, NEXT, LAST]
    assert chart.series == [Series("LIGHTFM", [0.75, None, 1.0]), Series("TRENDING", [0.25, None, 0.0])]


def test_more_sources_than_colours_are_put_together():
    served = {(DAY, f"s{n}"): 10 - n for n in range(COLOURS + 2)}
    chart = sources_chart(served)
    assert [each.name for each in chart.series] == ["s0", "s1", "s2", "s3", "s4", "others"]
    assert sum(each.values[0] or 0 for each in chart.series) == pytest.approx(1)
