"""The HTTP control of a fake: its counts, and another script at run time."""

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakes.scorer.ledger import KEPT_ASKED, Ledger
from fakes.script.acts import Script
from fakes.script.problems import ScriptError
from runtime.access.guard import Guard
from runtime.access.policy import POLICY
from runtime.access.rules import PUBLIC
from runtime.errors import InvalidArgumentError, Violation
from runtime.servers.json_http import MAX_BODY_BYTES, json_response, read_body

DEFAULT_LAST = 100

_POLICY: Final = {
    **POLICY,
    "GET /calls": PUBLIC,
    "PUT /script": PUBLIC,
    "POST /reset-counts": PUBLIC,
    "POST /release": PUBLIC,
}


def guard() -> Guard:
    """Returns the guard of a fake, which asks nobody: it holds nothing real, on whatever address."""
    return Guard(policy=_POLICY, anywhere=True)


def routes(ledger: Ledger, take: Callable[[str], Script], release: Callable[[], None]) -> list[Route]:
    """Returns the routes.

    Args:
        ledger: What is counted.
        take: Plays another script from now on; raises ScriptError, and then the old one goes on.
        release: Lets calls that hang be answered.
    """

    async def calls(request: Request) -> Response:
        return json_response(ledger.as_json(_last(request)))

    async def put_script(request: Request) -> Response:
        text = (await read_body(request, MAX_BODY_BYTES)).decode("utf-8", "replace")
        try:
            script = take(text)
        except ScriptError as error:
            raise InvalidArgumentError(error.violations) from error
        return json_response({"acts": len(script.acts), "pages": len(script.pages)})

    async def reset_counts(_request: Request) -> Response:
        ledger.reset()
        return Response(status_code=204)

    async def release_hung(_request: Request) -> Response:
        release()
        return Response(status_code=204)

    return [
        Route("/calls", calls, methods=["GET"]),
        Route("/script", put_script, methods=["PUT"]),
        Route("/reset-counts", reset_counts, methods=["POST"]),
        Route("/release", release_hung, methods=["POST"]),
    ]


def _last(request: Request) -> int:
    given = request.query_params.get("last", str(DEFAULT_LAST))
    if not (given.isascii() and given.isdecimal() and len(given) <= len(str(KEPT_ASKED)) and int(given) <= KEPT_ASKED):
        raise InvalidArgumentError([Violation("last", f"must be a whole number from 0 to {KEPT_ASKED}")])
    return int(given)
