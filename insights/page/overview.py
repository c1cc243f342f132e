"""The first page: is the feed well?"""

from collections.abc import Sequence

from starlette.requests import Request

from insights.page.views import Door, Entry, View
from insights.ports import Answers


class OverviewPage:
    """What the ledger adds up to.

    Args:
        answers: What it says.
    """

    entry = Entry("/", "Overview")

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.doors: Sequence[Door] = (Door("/", self._show),)

    async def _show(self, _request: Request) -> View:
        return View("overview.html", {"state": await self._answers.state()})
