"""Numbers and times as they are read."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from insights.page.text import ago, count, moment, number, seconds, share

NOW = datetime(2026, 11, 22, 8, 10, tzinfo=UTC)
THIN = "\u202f"
DASH = "\u2013"


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (count, 1_234_567, "1,234,567"),
        (share, 0.1234, f"12.3{THIN}%"),
        (number, 0.183, "0.1830"),
        (number, 12.3456, "12.35"),
        (number, 12_345.6, "12,346"),
        (seconds, 0, f"0{THIN}s"),
        (seconds, 0.0123, f"12.3{THIN}ms"),
        (seconds, 119, f"119{THIN}s"),
        (seconds, 120, f"2{THIN}min"),
        (seconds, 7_200, f"2{THIN}h"),
        (seconds, 172_800, f"2{THIN}d"),
        *((write, value, DASH) for write in (count, share, number, seconds) for value in (None, math.nan, math.inf)),
    ],
)
def test_a_number_is_written_in_its_size(write: Callable[[float | None], str], value: float | None, expected: str):
    assert write(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "never"),
        (NOW, "just now"),
        (NOW + timedelta(seconds=5), "just now"),
        (NOW - timedelta(minutes=5), f"5{THIN}min ago"),
    ],
)
def test_a_time_is_told_by_its_age(value: datetime | None, expected: str):
    assert ago(value, NOW) == expected


def test_a_time_is_told_in_utc():
    assert moment(NOW) == "2026-11-22 08:10 UTC"
