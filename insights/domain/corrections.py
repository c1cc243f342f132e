"""When a correction is looked at, and where a list of them goes on; pure."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Annotated, Final, NamedTuple

import msgspec

# Of so many served videos a database tells in a tenth of a second what became of each.
LOOKED_AT: Final = 2_500
# Into so many parts a period is divided, of each of which the beginning is looked at. No divisor of a day: of many days
# all times of day are looked at.
PARTS: Final = 47

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# No NUL, which PostgreSQL's texts cannot hold.
_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}\Z")]


class Period(NamedTuple):
    """A time from its first instant to its end, which does not belong to it."""

    first: datetime
    end: datetime


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The last correction of a page: the next page begins behind it, whatever was added since.

    Args:
        time_us: When it was made, in Unix microseconds.
        correction_id: Its id.
        include_inactive: What was asked for.
    """

    time_us: int
    correction_id: _Id
    include_inactive: bool

    @property
    def time(self) -> datetime:
        """When it was made."""
        return _EPOCH + self.time_us * _MICROSECOND


class PlaceError(Exception):
    """This is no place that we told. The caller's fault: send the token of the page before as it is, or none."""


_DECODER: Final = msgspec.msgpack.Decoder(Place)


def around(created_at: datetime, ended_at: datetime, window: timedelta) -> tuple[Period, Period]:
    """Returns the time before a correction was made and the time since, equally long.

    Args:
        created_at: When it was made.
        ended_at: When it was switched off; now, while it is in force.
        window: Longest time of each.
    """
    length = max(timedelta(0), min(window, ended_at - created_at))
    return Period(created_at - length, created_at), Period(created_at, created_at + length)


def expected(period: Period, served: Mapping[date, int], now: datetime) -> float:
    """Returns about how many videos were served in a period.

    Args:
        period: The period.
        served: How many were served, by day (UTC).
        now: The time: a day that is not over has served what it did until now.
    """
    total = 0.0
    for day, count in served.items():
        begin = datetime.combine(day, time.min, UTC)
        end = max(begin + timedelta(seconds=1), min(begin + _DAY, now))
        common = min(end, period.end) - max(begin, period.first)
        total += count * max(0.0, common / (end - begin))
    return total


def looked_at(period: Period, one_in: int) -> Sequence[Period]:
    """Returns the parts of a period that are looked at.

    Args:
        period: The period.
        one_in: Its length over theirs; 1: it is looked at as a whole.
    """
    if one_in == 1:
        return [period]
    length = (period.end - period.first) / PARTS
    begins = [period.first + number * length for number in range(PARTS)]
    return [Period(begin, begin + length / one_in) for begin in begins]


def one_in(served: float) -> int:
    """Returns of how many served videos one is looked at."""
    return max(1, ceil(served / LOOKED_AT))


def place_of(created_at: datetime, correction_id: str, *, include_inactive: bool) -> Place:
    """Returns the place behind a correction."""
    return Place((created_at - _EPOCH) // _MICROSECOND, correction_id, include_inactive)


def sealed(place: Place) -> str:
    """Returns a place as a token; it holds nothing that its reader may not know."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def opened(token: str) -> Place:
    """Returns the place of a token.

    Raises:
        PlaceError: When it is not one of ours.
    """
    try:
        place = _DECODER.decode(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        known = bool(place.time) and sealed(place) == token
    except (binascii.Error, msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise PlaceError from error
    if not known:
        raise PlaceError
    return place
