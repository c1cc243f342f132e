"""The days that a page shows, and how figures of them become charts; pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from starlette.datastructures import QueryParams

from insights.domain.funnel import Funnel, Window
from insights.page.charts import COLOURS, Chart, Series, Unit
from runtime.errors import InvalidArgumentError, Violation

# The windows to choose from, in days; the last one unless another is chosen.
WINDOWS: Final = (7, 30)

# A part's name and its figures of each day.
Trend: TypeAlias = tuple[str, Sequence[Funnel]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a funnel.

    Args:
        title: What it is.
        of: Returns it; None: unknown.
        unit: Of its values.
    """

    title: str
    of: Callable[[Funnel], float | None]
    unit: Unit


def share_of_served(count: int, funnel: Funnel) -> float | None:
    """Returns a count's share of what was served; None when nothing was."""
    return count / funnel.served if funnel.served else None


ACCEPTED: Final = Figure("Accepted, of served videos", lambda of: share_of_served(of.accepted, of), Unit.SHARE)
WATCHED: Final = Figure("Watch time a page", lambda of: of.watch_time_per_page_s if of.pages else None, Unit.SECONDS)
SERVED: Final = Figure("Served videos", lambda of: of.served, Unit.COUNT)
COMPARED: Final = (ACCEPTED, WATCHED, SERVED)


def window_of(query: QueryParams, now: datetime) -> Window:
    """Returns the days that are asked for, today included.

    Raises:
        InvalidArgumentError: When they are none of the windows.
    """
    given = query.get("days", str(WINDOWS[-1]))
    if given not in map(str, WINDOWS):
        raise InvalidArgumentError([Violation("days", f"must be {' or '.join(map(str, WINDOWS))}")])
    today = now.astimezone(UTC).date()
    return Window(today - timedelta(days=int(given) - 1), today)


def compared(figure: Figure, window: Window, trends: Sequence[Trend]) -> Chart:
    """Returns a line a part; of the first parts, as many as can be told apart."""
    series = [Series(name, [figure.of(each) for each in funnels]) for name, funnels in trends[:COLOURS]]
    return Chart(figure.title, "Day", list(window), series, figure.unit)
