"""The site that pages make together: navigation, templates, security headers, and errors as pages."""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from insights.page import text
from insights.page.assets import Assets
from insights.page.forms import read_form, require_same_origin
from insights.page.views import Door, Handler, Page, SeeOther, View
from insights.ports import LedgerUnavailableError
from runtime.access.browser_route import BrowserRoute
from runtime.access.policy import POLICY
from runtime.access.rules import Caller, may
from runtime.errors import RequestError, UnauthenticatedError
from runtime.request_context import request_id
from runtime.servers.json_http import INTERNAL_TEXT

if TYPE_CHECKING:
    from insights.page.sign_in import SignIn

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


class _Elsewhere(BrowserRoute):
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
        sign_in: Who looks at them; None: nobody is asked.
        more: Other doors, which the navigation does not name.
    """

    def __init__(self, pages: Sequence[Page], sign_in: "SignIn | None" = None, more: Sequence[Door] = ()) -> None:
        self._pages = pages
        self._more = more
        self._sign_in = sign_in
        self._browsers = self if sign_in is not None else None
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
            asset=self._assets.url,
            navigation=[page.entry for page in pages],
            infinity=math.inf,
            signs_in=sign_in is not None,
            may=lambda name: may(POLICY[name]),
        )

    def routes(self) -> list[BaseRoute]:
        """Returns the routes for the process's server; the last of them takes what no other does."""
        doors = [door for page in self._pages for door in page.doors]
        own = [self._route(door) for door in (*doors, *self._more)]
        elsewhere = _Elsewhere("/{path:path}", self._nowhere, methods=["GET"], browsers=self._browsers)
        return [*own, self._assets.route(), elsewhere]

    async def caller(self, request: Request) -> Caller:
        """Returns who has signed in; raises UnauthenticatedError when nobody has."""
        if self._sign_in is None:
            raise UnauthenticatedError("TOKEN_MISSING", "nobody signs in here")
        return self._sign_in.caller(request)

    def refused(self, request: Request, error: RequestError) -> Response | None:
        """Shows a browser why it is refused; where nobody has signed in, it shows where one does."""
        if not _is_read_by_people(request):
            return None
        if not isinstance(error, UnauthenticatedError):
            self._look(request)
            return self._shown(request, _refused(error))
        if request.method != "POST" and "hx-request" not in request.headers:
            return RedirectResponse(sign_in_path(request), int(HTTPStatus.SEE_OTHER), _HEADERS)
        view = _error(HTTPStatus.UNAUTHORIZED, "You are not signed in", "Nothing was done. Sign in, and do it again.")
        return self._shown(request, view)

    def _route(self, door: Door) -> BrowserRoute:
        async def answer(request: Request) -> Response:
            response = await self._answer(request, door.handler)
            if self._sign_in is not None:
                self._sign_in.keep(request, response)
            return response

        return BrowserRoute(door.path, answer, methods=[door.method], browsers=self._browsers)

    async def _answer(self, request: Request, handler: Handler) -> Response:
        try:
            if request.method == "POST":
                await self._take_form(request)
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

    async def _take_form(self, request: Request) -> None:
        """Reads what is posted, once it is known to come from a page of ours, and holds it to who sends it."""
        require_same_origin(request)
        form = await read_form(request)
        request.state.form = form if self._sign_in is None else self._sign_in.checked(request, form)

    async def _nowhere(self, request: Request) -> Response:
        if not _is_read_by_people(request):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        self._look(request)
        found = _error(HTTPStatus.NOT_FOUND, "There is no such page", "The navigation lists all there are.")
        return self._shown(request, found)

    def _look(self, request: Request) -> None:
        if self._sign_in is not None:
            self._sign_in.look(request)

    def _shown(self, request: Request, view: View) -> Response:
        retry = view.retry_after_s
        template = self._templates.get_template(view.template)
        visitor = self._sign_in.visitor(request) if self._sign_in is not None else None
        told = {"path": request.url.path, "retry_after_s": retry, "request_id": request_id(), "visitor": visitor}
        body = template.render(**told, **view.values)
        headers = _HEADERS if retry is None else {**_HEADERS, "retry-after": str(retry)}
        return HTMLResponse(body, view.status, headers)


def sign_in_path(request: Request) -> str:
    """Returns the address of the form that brings back to what was asked for."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return "/sign-in" if asked == "/" else f"/sign-in?{urlencode({'to': asked})}"


def _is_read_by_people(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


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
