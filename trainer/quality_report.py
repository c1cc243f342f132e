"""What is good and bad about exported days, as lines for a person."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from trainer.domain.quality import DayQuality, in_all, oddities

# A screen's worth; the manifest has everything.
_DAYS: Final = 14
_ODDITIES: Final = 20

_HEADS: Final = (
    "day",
    "rows",
    "merged",
    "unknown users",
    "unknown videos",
    "clock ahead",
    "late p50",
    "late p99",
    "volume",
)


def quality_lines(days: Mapping[str, DayQuality], today: date) -> list[str]:
    """Returns a table of the newest days and of all, and what is odd about any.

    Args:
        days: By YYYY-MM-DD, in order.
        today: The day that is not over, UTC.
    """
    if not days:
        return []
    shown = list(days.items())[-_DAYS:]
    table = [_HEADS, *(_cells(day, quality) for day, quality in shown), _cells("all", in_all(list(days.values())))]
    odd = oddities(days, today.isoformat())
    more = [f"suspicious: {len(odd) - _ODDITIES} more"] if len(odd) > _ODDITIES else []
    return [*_aligned(table), *(f"suspicious: {what}" for what in odd[-_ODDITIES:]), *more]


def _cells(day: str, quality: DayQuality) -> Sequence[str]:
    shares = (quality.unknown_users, quality.unknown_videos, quality.future)
    return (
        day,
        f"{quality.rows:,}",
        f"{quality.merged:,}",
        *(f"{quality.share(rows):.1%}" for rows in shares),
        f"{quality.skew_median_s:,.1f} s",
        f"{quality.skew_p99_s:,.1f} s",
        "" if quality.volume is None else f"{quality.volume:.2f}",
    )


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
