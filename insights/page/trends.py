"""How far served videos came, in all and day by day, and what that is told apart by."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request

from insights.domain.funnel import NOTHING_SERVED, Funnel, Parts, Split, Window, in_order, whole_trends
from insights.page.charts import COLOURS, Chart, Series, Unit
from insights.page.views import Door, Entry, View
from insights.page.windows import (
    COMPARED,
    SERVED,
    WATCHED,
    WINDOWS,
    Figure,
    Trend,
    compared,
    share_of_served,
    window_of,
)
from insights.ports import Answers
from runtime.errors import InvalidArgumentError, Violation

_PATH: Final = "/trends"
# No database takes one in a text.
_NUL: Final = "\0"
# A part without a name, by what is told apart.
_NAMELESS: Final[Mapping[Split, str]] = {Split.COUNTRY: "unknown", Split.MODEL_VERSION: "no model"}
_TITLES: Final[Mapping[str, str]] = {
    "": "nothing",
    Split.ALGORITHM: "algorithm",
    Split.VARIANT: "experiment and variant",
    Split.SOURCE: "source",
    Split.POSITION: "position",
    Split.MODEL_VERSION: "model",
    Split.COUNTRY: "country",
    Split.FALLBACK_REASON: "reason of falling back",
}
_STEPS: Final = (
    Figure("consumed", lambda of: share_of_served(of.consumed, of), Unit.SHARE),
    Figure("liked, added or shared", lambda of: share_of_served(of.added, of), Unit.SHARE),
    Figure("rated", lambda of: share_of_served(of.rated, of), Unit.SHARE),
)
_KNOWN: Final = (
    Figure("right to serve", lambda of: of.success_rate, Unit.SHARE),
    Figure("place foretold it", lambda of: of.confidence_match, Unit.SHARE),
)


class TrendsPage:
    """The funnel and its days.

    Args:
        answers: What the ledger says.
        now: The wall time.
    """

    entry = Entry(_PATH, "Funnel and trends")

    def __init__(self, answers: Answers, now: Callable[[], datetime]) -> None:
        self._answers = answers
        self._now = now
        self.doors: Sequence[Door] = (Door(_PATH, self._show),)

    async def _show(self, request: Request) -> View:
        window = window_of(request.query_params, self._now())
        split, algorithm = _split(request.query_params), _algorithm(request.query_params)
        total = (await self._answers.funnel(window, algorithm, None)).get("", NOTHING_SERVED)
        parts = await self._answers.funnel(window, algorithm, split) if split else {}
        trends = whole_trends(split, window, await self._answers.trends(window, algorithm, split))
        values = {
            "total": total,
            "parts": _named(split, parts),
            "charts": _charts(split, window, trends),
            "not_drawn": len(trends[COLOURS:]),
            "days": str(len(list(window))),
            "windows": {str(days): f"last {days} days" for days in WINDOWS},
            "split": split or "",
            "splits": _TITLES,
            "algorithm": algorithm,
            "algorithms": await self._algorithms(window, algorithm),
        }
        return View("trends.html", values)

    async def _algorithms(self, window: Window, chosen: str) -> Mapping[str, str]:
        parts = await self._answers.funnel(window, "", Split.ALGORITHM)
        return {"": "all", **{name: name for name in sorted({*parts, chosen} - {""})}}


def _split(query: QueryParams) -> Split | None:
    given = query.get("split", "")
    if given not in _TITLES:
        raise InvalidArgumentError([Violation("split", f"must be one of {', '.join(Split)}, or empty")])
    return Split(given) if given else None


def _algorithm(query: QueryParams) -> str:
    given = query.get("algorithm", "")
    if _NUL in given:
        raise InvalidArgumentError([Violation("algorithm", "must not hold a NUL")])
    return given


def _named(split: Split | None, parts: Parts) -> Mapping[str, Funnel]:
    """Returns parts as they are shown, in order."""
    return {_shown(split, name): parts[name] for name in in_order(split, parts)} if split else {}


def _shown(split: Split | None, name: str) -> str:
    return name or (_NAMELESS.get(split, "none") if split else "all")


def _charts(split: Split | None, window: Window, trends: Sequence[Trend]) -> list[Chart]:
    if split:
        shown = [(_shown(split, name), funnels) for name, funnels in trends]
        return [compared(figure, window, shown) for figure in COMPARED]
    ((_, funnels),) = trends
    return [
        _together("Steps, of served videos", _STEPS, window, funnels),
        compared(WATCHED, window, [("watch time a page", funnels)]),
        compared(SERVED, window, [("served videos", funnels)]),
        _together("Of videos with an outcome", _KNOWN, window, funnels),
    ]


def _together(title: str, figures: Sequence[Figure], window: Window, funnels: Sequence[Funnel]) -> Chart:
    """Returns a line a figure; all of them are of one unit."""
    series = [Series(figure.title, [figure.of(each) for each in funnels]) for figure in figures]
    return Chart(title, "Day", list(window), series, figures[0].unit)
