"""The algorithms, held against each other."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from starlette.requests import Request

from insights.domain.funnel import Split, in_order, together, whole_trends
from insights.page.charts import COLOURS
from insights.page.views import Door, Entry, View
from insights.page.windows import COMPARED, WINDOWS, compared, window_of
from insights.ports import Answers

_PATH: Final = "/algorithms"


class AlgorithmsPage:
    """What became of what each algorithm served.

    Args:
        answers: What the ledger says.
        now: The wall time.
    """

    entry = Entry(_PATH, "Algorithms")

    def __init__(self, answers: Answers, now: Callable[[], datetime]) -> None:
        self._answers = answers
        self._now = now
        self.doors: Sequence[Door] = (Door(_PATH, self._show),)

    async def _show(self, request: Request) -> View:
        window = window_of(request.query_params, self._now())
        parts = await self._answers.funnel(window, "", Split.ALGORITHM)
        trends = whole_trends(Split.ALGORITHM, window, await self._answers.trends(window, "", Split.ALGORITHM))
        values = {
            "algorithms": {name: parts[name] for name in in_order(Split.ALGORITHM, parts)},
            "total": together(parts.values()),
            "charts": [compared(figure, window, trends) for figure in COMPARED],
            "not_drawn": [name for name, _ in trends[COLOURS:]],
            "days": len(list(window)),
            "windows": WINDOWS,
        }
        return View("algorithms.html", values)
