"""Facts about exported days, and which of them are odd."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from trainer.domain.quality import DayQuality, QualityCounter, in_all, oddities, with_volumes
from trainer.quality_report import quality_lines

ORDINARY = DayQuality(
    rows=1000,
    merged=100,
    kinds={"VIEW": 1000},
    nulls={"rating": 1000, "position": 100},
    unknown_users=20,
    unknown_videos=10,
    future=5,
    skew_median_s=0.5,
    skew_p99_s=30.0,
)
FIRST = date(2025, 9, 1)


def ordinary(times: float) -> DayQuality:
    """An ordinary day of so many times the rows."""
    return replace(
        ORDINARY,
        rows=int(1000 * times),
        merged=int(100 * times),
        nulls={column: int(rows * times) for column, rows in ORDINARY.nulls.items()},
        unknown_users=int(20 * times),
        unknown_videos=int(10 * times),
        future=int(5 * times),
    )


def days(*qualities: DayQuality | None) -> dict[str, DayQuality]:
    """A day each, None for a day without any."""
    return with_volumes(
        {(FIRST + timedelta(days=n)).isoformat(): found for n, found in enumerate(qualities) if found is not None}
    )


def counted(*batches: list[int]) -> QualityCounter:
    counter = QualityCounter()
    for skew_ms in batches:
        counter.add(np.array(skew_ms, np.int64), {"VIEW": len(skew_ms)}, {"rating": len(skew_ms)}, 1, 2)
    return counter


def test_batches_add_up_to_a_day() -> None:
    """However the rows were cut, what is found is the same."""
    late = list(range(0, 100_000, 100))
    found = counted(late[:300], late[300:]).quality(merged=7)
    assert (found.rows, found.merged, found.kinds, found.nulls) == (1000, 7, {"VIEW": 1000}, {"rating": 1000})
    assert (found.unknown_users, found.unknown_videos, found.future) == (2, 4, 0)
    assert replace(counted(late).quality(merged=7), unknown_users=2, unknown_videos=4) == found


@pytest.mark.parametrize(
    ("skew_ms", "median_s", "p99_s", "future"),
    [
        pytest.param([0, 0, 0], 0, 0, 0, id="at once"),
        pytest.param(list(range(1, 100_001)), 50, 99, 0, id="evenly spread"),
        pytest.param([-60_000] * 60 + [20] * 40, -60, 0.02, 60, id="clocks ahead"),
        pytest.param([1000] * 98 + [86_400_000] * 2, 1, 86_400, 0, id="some a day late"),
        pytest.param([10**14], 3.2e9, 3.2e9, 0, id="later than is told apart"),
        pytest.param([], 0, 0, 0, id="no rows"),
    ],
)
def test_skews_are_right_to_one_percent(skew_ms: list[int], median_s: float, p99_s: float, future: int) -> None:
    found = counted(skew_ms).quality(merged=0)
    assert found.skew_median_s == pytest.approx(median_s, rel=0.011)
    assert found.skew_p99_s == pytest.approx(p99_s, rel=0.011)
    assert found.future == future


def test_a_day_is_held_against_the_median_of_the_seven_before() -> None:
    rows = [10_000, 1, 1, 1, 100, 200, 300, 400, 50]
    found = days(*(replace(ORDINARY, rows=count) for count in rows))
    volumes = [quality.volume for quality in found.values()]
    assert volumes[0] is None
    assert volumes[1] == pytest.approx(1 / 10_000)
    assert volumes[-1] == pytest.approx(50 / 100), "the first two are too old"


def test_days_add_up_and_the_worst_skew_is_that_of_all() -> None:
    late = replace(ORDINARY, kinds={"LIKE": 1, "VIEW": 999}, skew_median_s=9.0, skew_p99_s=10.0, volume=1.0)
    assert in_all([ORDINARY, late]) == DayQuality(
        rows=2000,
        merged=200,
        kinds={"LIKE": 1, "VIEW": 1999},
        nulls={"position": 200, "rating": 2000},
        unknown_users=40,
        unknown_videos=20,
        future=10,
        skew_median_s=9.0,
        skew_p99_s=30.0,
    )


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        pytest.param(ORDINARY, [], id="as ever"),
        pytest.param(ordinary(0.7), [], id="fewer rows, as on any weekend"),
        pytest.param(ordinary(0.1), ["0.1 times the rows of the days before"], id="hardly any rows"),
        pytest.param(ordinary(2.5), ["2.5 times the rows of the days before"], id="many rows"),
        pytest.param(
            replace(ORDINARY, merged=1000), ["50% tell again of a view, 9% before"], id="told again and again"
        ),
        pytest.param(
            replace(ORDINARY, unknown_users=900),
            ["90% are of users who were never announced, 2% before"],
            id="unknown users",
        ),
        pytest.param(
            replace(ORDINARY, unknown_videos=400),
            ["40% are of videos that are not in the catalogue, 1% before"],
            id="unknown videos",
        ),
        pytest.param(replace(ORDINARY, future=500), ["50% are from clocks that were ahead, 0% before"], id="clocks"),
        pytest.param(
            replace(ORDINARY, nulls={"position": 300, "rating": 1000}),
            ["30% have no position, 10% before"],
            id="a column",
        ),
        pytest.param(
            replace(ORDINARY, skew_p99_s=86_400.0), ["1 % are more than 86,400 s late, 30 s before"], id="late"
        ),
        pytest.param(replace(ORDINARY, skew_p99_s=600.0), [], id="later, but by minutes"),
    ],
)
def test_what_is_odd_about_a_day(last: DayQuality, expected: list[str]) -> None:
    assert oddities(days(*[ORDINARY] * 8, last), "2025-12-01") == [f"2025-09-09: {what}" for what in expected]


def test_days_without_any_are_told() -> None:
    found = days(ORDINARY, None, ORDINARY, None, None, None, ORDINARY)
    assert oddities(found, "2025-12-01") == [
        "2025-09-02: no interactions",
        "2025-09-04 to 2025-09-06: no interactions",
    ]


def test_today_may_be_small() -> None:
    found = days(ORDINARY, ordinary(0.01))
    assert oddities(found, "2025-09-03") == ["2025-09-02: 0.01 times the rows of the days before"]
    assert oddities(found, "2025-09-02") == []


def test_the_first_day_is_odd_only_by_what_is_never_good() -> None:
    """There is nothing to hold it against; that every rating is absent is usual, that every user is unknown is not."""
    assert oddities(days(ORDINARY), "2025-12-01") == []
    assert oddities(days(replace(ORDINARY, unknown_users=1000)), "2025-12-01") == [
        "2025-09-01: 100% are of users who were never announced, 0% before"
    ]


def test_the_report_is_a_table_and_what_is_odd() -> None:
    lines = quality_lines(days(ORDINARY, replace(ordinary(0.1), unknown_users=20)), date(2025, 9, 3))
    assert [line.split() for line in lines[1:4]] == [
        ["2025-09-01", "1,000", "100", "2.0%", "1.0%", "0.5%", "0.5", "s", "30.0", "s"],
        ["2025-09-02", "100", "10", "20.0%", "1.0%", "0.0%", "0.5", "s", "30.0", "s", "0.10"],
        ["all", "1,100", "110", "3.6%", "1.0%", "0.5%", "0.5", "s", "30.0", "s"],
    ]
    assert lines[4:] == [
        "suspicious: 2025-09-02: 0.1 times the rows of the days before",
        "suspicious: 2025-09-02: 20% are of users who were never announced, 2% before",
    ]


def test_the_report_shows_two_weeks_and_sums_all() -> None:
    lines = quality_lines(days(*[ORDINARY] * 30), date(2025, 12, 1))
    assert [line.split()[0] for line in lines] == ["day", *(f"2025-09-{day}" for day in range(17, 31)), "all"]
    assert "30,000" in lines[-1]


def test_nothing_exported_is_no_report() -> None:
    assert quality_lines({}, FIRST) == []
