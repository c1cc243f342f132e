"""What is good and bad about the days that are exported: facts to keep and to decide on, and what is odd among them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from math import ceil
from statistics import median
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Milliseconds: TypeAlias = npt.NDArray[np.int64]

# A day is held against so many exported days before it: a week has one of each weekday.
DAYS_BEFORE: Final = 7

# Milliseconds up to a hundred years, each 1 % above the one before: percentiles of any number of rows in 50 KB.
_LATER_MS: Final = np.unique(np.rint(np.geomspace(1, 3.2e12, 2_900)).astype(np.int64))
_EDGES_MS: Final = np.concatenate([-_LATER_MS[::-1], np.zeros(1, np.int64), _LATER_MS])

# Days of half or twice the rows do happen, on holidays; less and more is worth a look.
_FEWEST, _MOST = 0.5, 2.0
# Shares move by some percent from day to day.
_SHARE_STEP: Final = 0.1
# Phones that were offline bring their events hours later, a few of them each day.
_LATE_S, _LATE_RATIO = 3600.0, 10.0


@dataclass(frozen=True, slots=True)
class DayQuality:
    """Facts about the interactions of one UTC day.

    Args:
        rows: Interactions exported; the counts below are of these.
        merged: Interactions that are not, since they told again of a view.
        kinds: Rows by interaction type.
        nulls: Rows without a value, by each column that may have none.
        unknown_users: Rows of users who were never announced.
        unknown_videos: Rows of videos that are not in the catalogue.
        future: Rows whose client's clock was ahead: their event is after its ingest.
        skew_median_s: Ingest time less event time, seconds, to 1 %.
        skew_p99_s: The same for the row that only 1 % are later than.
        volume: Rows against the median of the seven exported days before; None for the first day.
    """

    rows: int
    merged: int
    kinds: Mapping[str, int]
    nulls: Mapping[str, int]
    unknown_users: int
    unknown_videos: int
    future: int
    skew_median_s: float
    skew_p99_s: float
    volume: float | None = None

    def share(self, rows: int) -> float:
        """Returns which share of the rows so many are; 0 of none."""
        return rows / self.rows if self.rows else 0.0


class QualityCounter:
    """Counts the rows of a day, batch by batch; as large as it is, however many they are."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._nulls: Counter[str] = Counter()
        self._unknown_users = 0
        self._unknown_videos = 0
        self._future = 0
        self._by_skew = np.zeros(len(_EDGES_MS) + 1, np.int64)

    def add(
        self,
        skew_ms: Milliseconds,
        kinds: Mapping[str, int],
        nulls: Mapping[str, int],
        unknown_users: int,
        unknown_videos: int,
    ) -> None:
        """Counts a batch.

        Args:
            skew_ms: Ingest time less event time of each row.
            kinds: Rows by interaction type.
            nulls: Rows without a value, by column.
            unknown_users: Rows of users who were never announced.
            unknown_videos: Rows of videos that are not in the catalogue.
        """
        self._kinds.update(kinds)
        self._nulls.update(nulls)
        self._unknown_users += unknown_users
        self._unknown_videos += unknown_videos
        self._future += int((skew_ms < 0).sum())
        self._by_skew += np.bincount(np.searchsorted(_EDGES_MS, skew_ms), minlength=len(self._by_skew))

    def quality(self, merged: int) -> DayQuality:
        """Returns what was found; `merged` rows were left out before."""
        return DayQuality(
            rows=int(self._by_skew.sum()),
            merged=merged,
            kinds=dict(sorted(self._kinds.items())),
            nulls=dict(sorted(self._nulls.items())),
            unknown_users=self._unknown_users,
            unknown_videos=self._unknown_videos,
            future=self._future,
            skew_median_s=self._skew_s(0.5),
            skew_p99_s=self._skew_s(0.99),
        )

    def _skew_s(self, share: float) -> float:
        """Returns the skew that this share of the rows is not above; 0 of none."""
        up_to = self._by_skew.cumsum()
        if not up_to[-1]:
            return 0.0
        place = int(np.searchsorted(up_to, ceil(share * up_to[-1])))
        return float(_EDGES_MS[min(place, len(_EDGES_MS) - 1)]) / 1000


def with_volumes(days: Mapping[str, DayQuality]) -> dict[str, DayQuality]:
    """Returns days (by YYYY-MM-DD, in order) held against the days before them."""
    return {
        day: replace(found, volume=found.rows / usual if (usual := _usual(before, _rows)) else None)
        for day, found, before in _with_days_before(days)
    }


def in_all(days: Sequence[DayQuality]) -> DayQuality:
    """Sums days up; of the skews it has those of the worst day."""
    kinds: Counter[str] = Counter()
    nulls: Counter[str] = Counter()
    for day in days:
        kinds.update(day.kinds)
        nulls.update(day.nulls)
    return DayQuality(
        rows=sum(day.rows for day in days),
        merged=sum(day.merged for day in days),
        kinds=dict(sorted(kinds.items())),
        nulls=dict(sorted(nulls.items())),
        unknown_users=sum(day.unknown_users for day in days),
        unknown_videos=sum(day.unknown_videos for day in days),
        future=sum(day.future for day in days),
        skew_median_s=max((day.skew_median_s for day in days), default=0.0),
        skew_p99_s=max((day.skew_p99_s for day in days), default=0.0),
    )


def oddities(days: Mapping[str, DayQuality], today: str) -> list[str]:
    """Says what a person should look at, a sentence each, oldest day first.

    Args:
        days: By YYYY-MM-DD, in order.
        today: The day that is not over and may be small, YYYY-MM-DD.
    """
    found = [f"{gap}: no interactions" for gap in _gaps(list(days))]
    for day, quality, before in _with_days_before(days):
        found += [f"{day}: {what}" for what in _odd(quality, before, is_over=day < today)]
    return sorted(found)


def _odd(day: DayQuality, before: Sequence[DayQuality], *, is_over: bool) -> Iterator[str]:
    if day.volume is not None and (day.volume > _MOST or (is_over and day.volume < _FEWEST)):
        yield f"{day.volume:.2g} times the rows of the days before"
    # What is usually absent is no news of the first day.
    nulls = {f"have no {column}": _without(column) for column in day.nulls} if before else {}
    for what, share in {**_SHARES, **nulls}.items():
        usual = _usual(before, share) or 0.0
        if share(day) > usual + _SHARE_STEP:
            yield f"{share(day):.0%} {what}, {usual:.0%} before"
    late_s = _usual(before, _late_s) or 0.0
    if _late_s(day) > max(_LATE_S, _LATE_RATIO * late_s):
        yield f"1 % are more than {_late_s(day):,.0f} s late, {late_s:,.0f} s before"


def _rows(day: DayQuality) -> float:
    return day.rows


def _late_s(day: DayQuality) -> float:
    return day.skew_p99_s


def _without(column: str) -> Callable[[DayQuality], float]:
    return lambda day: day.share(day.nulls.get(column, 0))


_SHARES: Final[Mapping[str, Callable[[DayQuality], float]]] = {
    "tell again of a view": lambda day: day.merged / ((day.rows + day.merged) or 1),
    "are of users who were never announced": lambda day: day.share(day.unknown_users),
    "are of videos that are not in the catalogue": lambda day: day.share(day.unknown_videos),
    "are from clocks that were ahead": lambda day: day.share(day.future),
}


def _usual(before: Sequence[DayQuality], figure: Callable[[DayQuality], float]) -> float | None:
    return median(map(figure, before)) if before else None


def _with_days_before(days: Mapping[str, DayQuality]) -> Iterator[tuple[str, DayQuality, Sequence[DayQuality]]]:
    found = list(days.values())
    for place, (day, quality) in enumerate(days.items()):
        yield day, quality, found[max(0, place - DAYS_BEFORE) : place]


def _gaps(days: Sequence[str]) -> Iterator[str]:
    """Yields the days between the first and the last that are not among them, those that follow each other as one."""
    for day, after in pairwise(map(date.fromisoformat, days)):
        first, last = day + timedelta(days=1), after - timedelta(days=1)
        if first <= last:
            yield first.isoformat() if first == last else f"{first.isoformat()} to {last.isoformat()}"
