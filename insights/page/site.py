"""The site that pages make together: navigation, templates, security headers, and errors as pages."""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from insights.page import text
from insights.page.assets import Assets
from insights.page.forms import require_same_origin
from insights.page.views import Door, Handler, Page, SeeOther, View
from insights.ports import LedgerUnavailableError
from runtime.errors import RequestError
from runtime.json_http import INTERNAL_TEXT
from runtime.request_context import request_id

_LOG = structlog.get_logger(__name__)

# Nothing but our own files, no inline script, no inline style, in nobody's frame.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    # The answer is a page or JSON by who asks.
    "vary": "accept",
}
# How often a page that could not be made tries again.
_RETRY_S: Final = 5
_API: Final = "/feed"


class _Elsewhere(Route):
    """Takes what nobody else does, and leaves the API to itself."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope.get("path", "")
        if path == _API or path.startswith(f"{_API}/"):
            return Match.NONE, {}
        return super().matches(scope)


class Site:
    """All pages.

    Args:
        pages: In the order of the navigation.
    """

    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = pages
        self._assets = Assets()
        self._templates = Environment(
            loader=PackageLoader("insights.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(text.FILTERS)
        self._templates.globals.update(
            asset=self._assets.url, navigation=[page.entry for page in pages], infinity=math.inf
        )

    def routes(self) -> list[BaseRoute]:
        """Returns the routes for the process's server; the last of them takes what no other does."""
        own = [self._route(door) for page in self._pages for door in page.doors]
        return [*own, self._assets.route(), _Elsewhere("/{path:path}", self._nowhere, methods=["GET"])]

    def _route(self, door: Door) -> Route:
        async def answer(request: Request) -> Response:
            return await self._answer(request, door.handler)

        return Route(door.path, answer, methods=[door.method])

    async def _answer(self, request: Request, handler: Handler) -> Response:
        try:
            if request.method == "POST":
                require_same_origin(request)
            found = await handler(request)
            if isinstance(found, View):
                return self._shown(request, found)
        except RequestError as error:
            found = _refused(error)
        except LedgerUnavailableError as error:
            _LOG.warning("page.database_unavailable", path=request.url.path, error=str(error))
            found = _unavailable(request)
        except Exception:  # noqa: BLE001  # whatever it is, whoever reads the page is told that it failed
            _LOG.exception("page.failed", path=request.url.path)
            found = _error(HTTPStatus.INTERNAL_SERVER_ERROR, "This page has failed", INTERNAL_TEXT)
        return self._shown(request, found) if isinstance(found, View) else _sent(found)

    async def _nowhere(self, request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        found = _error(HTTPStatus.NOT_FOUND, "There is no such page", "The navigation lists all there are.")
        return self._shown(request, found)

    def _shown(self, request: Request, view: View) -> Response:
        retry = view.retry_after_s
        template = self._templates.get_template(view.template)
        body = template.render(path=request.url.path, retry_after_s=retry, request_id=request_id(), **view.values)
        headers = _HEADERS if retry is None else {**_HEADERS, "retry-after": str(retry)}
        return HTMLResponse(body, view.status, headers)


def _sent(target: SeeOther) -> Response:
    query = f"?{urlencode({'done': target.done})}" if target.done else ""
    return RedirectResponse(target.path + query, int(HTTPStatus.SEE_OTHER), _HEADERS)


def _refused(error: RequestError) -> View:
    reasons = [f"{each.field}: {each.reason}" for each in error.violations]
    return _error(error.http_status, error.http_status.phrase, error.message, reasons)


def _unavailable(request: Request) -> View:
    again = "It tries again by itself." if request.method == "GET" else "Nothing was changed. Try again in a moment."
    explanation = f"Its figures are in the database. The feed is served without it. {again}"
    view = _error(HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be used now", explanation)
    # To repeat a POST by itself would do it twice.
    return View(view.template, view.values, view.status, _RETRY_S if request.method == "GET" else None)


def _error(status: HTTPStatus, title: str, explanation: str, reasons: Sequence[str] = ()) -> View:
    return View("error.html", {"title": title, "explanation": explanation, "reasons": reasons}, int(status))
