"""One page that was served, or a user's newest: what was on it, why, and what became of it."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request

from insights.domain.outcome import STATUSES, Status
from insights.page.views import Door, Entry, View
from insights.ports import ServedPage, ServedPages
from runtime.errors import NotFoundError

_PATH: Final = "/explain"
_PAGE_PATH: Final = "/explain/{recommendation_id}"
_SHOWN: Final = 20
_MOST_CHARS: Final = 128

_MOODS: Final = {Status.ACCEPTED: "good", Status.IGNORED: "plain", Status.REJECTED: "bad"}


class ExplanationPage:
    """Finds pages by their id or their user, and shows one.

    Args:
        pages: What was served.
    """

    entry = Entry(_PATH, "Explain")

    def __init__(self, pages: ServedPages) -> None:
        self._pages = pages
        self.doors: Sequence[Door] = (Door(_PATH, self._find), Door(_PAGE_PATH, self._show))

    async def _find(self, request: Request) -> View:
        asked = request.query_params.get("id", "").strip()
        if not _may_be_id(asked):
            return View("explain.html", {"asked": asked, "heads": ()})
        page = await self._pages.page(asked)
        if page is not None:
            return _shown(page)
        heads = await self._pages.newest_of(asked, _SHOWN)
        return View("explain.html", {"asked": asked, "heads": heads})

    async def _show(self, request: Request) -> View:
        asked = request.path_params["recommendation_id"]
        page = await self._pages.page(asked) if _may_be_id(asked) else None
        if page is None:
            raise NotFoundError("NOT_FOUND", "No page of this id is known. It is, a second after it was served.")
        return _shown(page)


def part_names(page: ServedPage) -> list[str]:
    """Returns of what parts scores on a page are made, those that are 0 everywhere left out."""
    names = dict.fromkeys(name for each in page.videos for name in each.parts)
    return [name for name in names if any(each.parts.get(name) for each in page.videos)]


def _shown(page: ServedPage) -> View:
    moods = {outcome.value: _MOODS[status] for outcome, status in STATUSES.items()}
    values = {"page": page, "head": page.head, "parts": part_names(page), "moods": moods}
    return View("explained.html", values)


def _may_be_id(text: str) -> bool:
    """Whether there may be something of this id: no database takes every character."""
    return 0 < len(text) <= _MOST_CHARS and text.isprintable()
