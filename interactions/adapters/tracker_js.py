"""`GET /tracker.js`: the browser's client, as a module that pages of any origin may import."""

import hashlib
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

# Pages may keep it for an hour; then they ask whether it has changed.
_CACHE: Final = "public, max-age=3600"


def tracker_js_routes() -> list[BaseRoute]:
    """Returns the route for the process's server."""
    module = (files("interactions") / "web" / "tracker.js").read_bytes()
    headers = {
        "cache-control": _CACHE,
        "etag": f'"{hashlib.sha256(module).hexdigest()[:16]}"',
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
    }

    async def get(request: Request) -> Response:
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(module, headers=headers, media_type="text/javascript")

    return [Route("/tracker.js", get)]
