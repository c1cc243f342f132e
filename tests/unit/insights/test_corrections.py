"""When a correction is looked at, and where a list of them goes on."""

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.domain.corrections import Period, Place, PlaceError, around, opened, place_of, sealed

MADE = datetime(2025, 9, 1, 12, 30, 0, 123_456, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("age", "length"),
    [(timedelta(hours=3), timedelta(hours=3)), (timedelta(days=30), WEEK), (timedelta(seconds=-1), timedelta(0))],
    ids=["young", "old", "made by a clock that is ahead"],
)
def test_both_sides_are_as_long(age: timedelta, length: timedelta) -> None:
    assert around(MADE, MADE + age, WEEK) == (Period(MADE - length, MADE), Period(MADE, MADE + length))


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
