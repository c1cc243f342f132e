"""How numbers and times are written; pure."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400
# Fractions of larger numbers say nothing.
_WHOLE_FROM: Final = 1_000
# From here on, in whole ones of the larger unit.
_MANY: Final = 2

# An en dash.
NOTHING: Final = "\u2013"


def count(value: float | None) -> str:
    """Returns a count: 12,345."""
    return NOTHING if _is_unknown(value) else f"{value:,.0f}"


def number(value: float | None) -> str:
    """Returns a number to four digits, of one below 1 behind the point: 0.1830, 12.35, 12,346."""
    if value is None or _is_unknown(value):
        return NOTHING
    size = abs(value)
    return f"{value:.4f}" if size < 1 else f"{value:,.0f}" if size >= _WHOLE_FROM else f"{value:.4g}"


def share(value: float | None) -> str:
    """Returns a share of 0 to 1: 12.3 %."""
    return NOTHING if _is_unknown(value) else f"{value:.1%}".replace("%", "\u202f%")


def seconds(value: float | None) -> str:
    """Returns a duration in a unit of its size: 350 ms, 1.2 s, 5 min, 3 h, 2 d."""
    if value is None or _is_unknown(value):
        return NOTHING
    if 0 < value < 1:
        return f"{value * 1_000:.3g}\u202fms"
    if value < _MANY * _MINUTE_S:
        return f"{value:.3g}\u202fs"
    units = ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"))
    size, unit = next((size, unit) for size, unit in units if value >= _MANY * size)
    return f"{value / size:,.0f}\u202f{unit}"


def moment(value: datetime | None) -> str:
    """Returns a time: 2026-11-22 08:10 UTC."""
    return NOTHING if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def ago(value: datetime | None, now: datetime) -> str:
    """Returns how long ago a time was: 5 min ago; just now, if it is less than a second or yet to come."""
    if value is None:
        return "never"
    elapsed_s = (now - value).total_seconds()
    return "just now" if elapsed_s < 1 else f"{seconds(elapsed_s)} ago"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    each.__name__: each for each in (count, number, share, seconds, moment, ago)
}


def _is_unknown(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
