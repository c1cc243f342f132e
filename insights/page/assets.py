"""Style sheets and scripts, from memory. Their addresses change with them, so that browsers may keep them for good."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_NAMES: Final = (
    "insights.css",
    "insights.js",
    "insights.svg",
    "vendor/htmx.min.js",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
    "vendor/htmx.LICENSE",
    "vendor/uPlot.LICENSE",
)
_FOREVER: Final = {"cache-control": "public, max-age=31536000, immutable"}
_HASH_CHARS: Final = 12


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    media_type: str
    digest: str


class Assets:
    """The files of `assets/`."""

    def __init__(self) -> None:
        self._assets: Mapping[str, _Asset] = {name: _read(name) for name in _NAMES}

    def url(self, name: str) -> str:
        """Returns the address of a file."""
        return f"/assets/{self._assets[name].digest}/{name}"

    def route(self) -> Route:
        """Returns the route that serves them."""

        async def serve(request: Request) -> Response:
            asset = self._assets.get(request.path_params["name"])
            # An address of another release must not be kept for good with what this one has.
            if asset is None or asset.digest != request.path_params["digest"]:
                raise HTTPException(404)
            return Response(asset.content, headers=_FOREVER, media_type=asset.media_type)

        return Route("/assets/{digest}/{name:path}", serve)


def _read(name: str) -> _Asset:
    content = (files("insights.page") / "assets" / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:_HASH_CHARS]
    return _Asset(content, mimetypes.guess_type(name)[0] or "text/plain", digest)
