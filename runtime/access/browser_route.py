"""Routes of pages: there, and nowhere else, a browser's cookie is as good a proof as a bearer token."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runtime.access.rules import Caller
from runtime.errors import RequestError


class Browsers(Protocol):
    """How browsers show who they are, and what their users see when they are refused."""

    async def caller(self, request: Request) -> Caller:
        """Returns who is signed in; raises UnauthenticatedError when nobody is."""

    def refused(self, request: Request, error: RequestError) -> Response | None:
        """Returns what is shown instead; None: who asks is no browser, and is answered as everywhere."""


class BrowserRoute(Route):
    """A route of a page.

    Args:
        path: In the form of Starlette's routes.
        endpoint: What answers.
        methods: By which methods.
        browsers: How browsers show who they are; None: they cannot.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        *,
        methods: Sequence[str],
        browsers: Browsers | None,
    ) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.browsers = browsers
