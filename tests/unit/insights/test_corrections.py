"""When a correction is looked at, and where a list of them goes on."""

import base64
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.domain.corrections import (
    PARTS,
    Period,
    Place,
    PlaceError,
    around,
    expected,
    looked_at,
    one_in,
    opened,
    place_of,
    sealed,
)

MADE = datetime(2025, 9, 1, 12, 30, 0, 123_456, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("age", "length"),
    [(timedelta(hours=3), timedelta(hours=3)), (timedelta(days=30), WEEK), (timedelta(seconds=-1), timedelta(0))],
    ids=["young", "old", "made by a clock that is ahead"],
)
def test_both_sides_are_as_long(age: timedelta, length: timedelta) -> None:
    assert around(MADE, MADE + age, WEEK) == (Period(MADE - length, MADE), Period(MADE, MADE + length))


NOON = datetime(2025, 9, 2, 12, tzinfo=UTC)
SERVED = {date(2025, 8, 31): 5_000, date(2025, 9, 1): 24_000, date(2025, 9, 2): 6_000}


@pytest.mark.parametrize(
    ("begin_h", "end_h", "count"),
    [(-36, -12, 24_000), (-18, -12, 6_000), (-18, -6, 9_000), (-6, 0, 3_000), (-9_000, -8_000, 0)],
    ids=["a day", "a part of one", "of two", "of the day that is not over", "long before all"],
)
def test_days_tell_about_how_many_were_served_in_a_period(begin_h: int, end_h: int, count: int) -> None:
    period = Period(NOON + timedelta(hours=begin_h), NOON + timedelta(hours=end_h))
    assert expected(period, SERVED, NOON) == pytest.approx(count)


def test_nothing_breaks_at_midnight() -> None:
    midnight = datetime.combine(NOON, time.min, UTC)
    assert expected(Period(midnight, midnight), SERVED, midnight) == 0


@pytest.mark.parametrize(("served", "share"), [(0, 1), (2_500, 1), (2_501, 2), (10_000_000, 4_000)])
def test_as_many_are_looked_at_as_an_answer_has_time_for(served: int, share: int) -> None:
    assert one_in(served) == share


def test_what_is_looked_at_is_spread_over_the_whole_period() -> None:
    week = Period(MADE, MADE + WEEK)
    assert looked_at(week, 1) == [week]
    parts = looked_at(week, 50)
    assert len(parts) == PARTS
    assert sum((part.end - part.first for part in parts), timedelta(0)) / WEEK == pytest.approx(1 / 50)
    gaps = {round((after.first - part.first) / WEEK, 9) for part, after in pairwise(parts)}
    assert (gaps, parts[0].first) == ({round(1 / PARTS, 9)}, MADE)
    assert all(part.end <= after.first for part, after in pairwise(parts))
    assert parts[-1].end <= week.end


@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)), st.booleans())  # noqa: DTZ001
def test_a_token_is_its_place(time: datetime, include_inactive: bool) -> None:
    place = opened(sealed(place_of(time, "c1", include_inactive=include_inactive)))
    assert (place.time, place.correction_id, place.include_inactive) == (time, "c1", include_inactive)


def packed(*values: object) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(values)).decode().rstrip("=")


TOKEN = sealed(place_of(MADE, "c1", include_inactive=False))


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("!", id="no base64"),
        pytest.param("ü", id="no ASCII"),
        pytest.param(TOKEN[:-1], id="cut"),
        pytest.param(TOKEN + "AA", id="longer"),
        pytest.param(TOKEN + "=", id="with an end"),
        pytest.param(packed("1", "c1", False), id="no time"),
        pytest.param(packed(10**18, "c1", False), id="beyond all times"),
        pytest.param(packed(1, "c1"), id="half of it"),
        pytest.param(packed(1, "c1", False, 1), id="more than that"),
        pytest.param(sealed(Place(1, "c\x00", False)), id="no id"),
    ],
)
def test_what_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(PlaceError):
        opened(token)
