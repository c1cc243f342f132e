"""Charts: what the template makes a table of, and the script draws; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Final, TypeAlias

from insights.page.text import NOTHING, count, moment, number, seconds, share

# Colours that can be told apart, by everybody and in both schemes (`insights.css`).
COLOURS: Final = 6

Place: TypeAlias = date | datetime | float


class Unit(StrEnum):
    """What the values of a chart are."""

    SHARE = "share"  # 0 to 1
    COUNT = "count"
    SECONDS = "seconds"
    NUMBER = "number"


class Kind(StrEnum):
    """How a chart is drawn."""

    LINES = "lines"
    STACKED = "stacked"  # areas, each on top of those before: of values that add up to something


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one name.

    Args:
        name: As it is shown.
        values: One for each place on the axis; None: there is none.
    """

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over time or a number.

    Args:
        title: What it shows, with its unit if that is not plain.
        axis: Name of the places.
        places: Ascending; days, UTC times or numbers.
        series: At most `COLOURS`, each as long as the places.
        unit: Of the values.
        kind: How it is drawn.
    """

    title: str
    axis: str
    places: Sequence[Place]
    series: Sequence[Series]
    unit: Unit = Unit.COUNT
    kind: Kind = Kind.LINES

    def __post_init__(self) -> None:
        """Refuses what could not be drawn as it was meant."""
        if len(self.series) > COLOURS:
            raise ValueError(f"{self.title}: {len(self.series)} series, but only {COLOURS} colours to tell apart")
        for each in self.series:
            if len(each.values) != len(self.places):
                raise ValueError(f"{self.title}: {each.name}: {len(each.values)} values, {len(self.places)} places")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return all(value is None for each in self.series for value in each.values)

    @property
    def is_over_time(self) -> bool:
        """Whether the places are days or times."""
        return any(isinstance(place, date) for place in self.places)

    def place_text(self, place: Place) -> str:
        """Returns a place for reading."""
        if isinstance(place, datetime):
            return moment(place)
        return place.isoformat() if isinstance(place, date) else number(place)

    def place_value(self, place: Place) -> float:
        """Returns a place for drawing: of times, seconds since 1970."""
        if isinstance(place, datetime):
            return place.timestamp()
        return datetime.combine(place, time(), UTC).timestamp() if isinstance(place, date) else place

    def value_text(self, value: float | None) -> str:
        """Returns a value for reading."""
        return NOTHING if value is None else _TEXTS[self.unit](value)


_TEXTS: Final = {
    Unit.SHARE: share,
    Unit.COUNT: count,
    Unit.SECONDS: seconds,
    Unit.NUMBER: number,
}
