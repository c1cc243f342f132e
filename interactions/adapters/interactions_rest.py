"""The REST side: `POST /feed/interactions`, and `POST /api/track`, the same for web clients."""

from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from feed.interactions.v1 import interactions_pb2 as pb
from interactions.adapters.interactions_grpc import require_batch_size, violations
from interactions.adapters.rest_json import UnreadableBodyError, decode_interaction, is_batch, split_batch
from interactions.adapters.trace import traceparent
from interactions.domain.event import BrokenRule, Refusal
from interactions.domain.result import EventResult, Status
from interactions.service import Recorded, Recorder
from runtime.access.guard import AUTHORIZATION
from runtime.access.rules import require_acting_for
from runtime.errors import InvalidArgumentError, UnprocessableError
from runtime.request_context import REQUEST_ID_KEY
from runtime.servers.json_http import JSON_TYPE, json_response, read_json

# What `navigator.sendBeacon` says of a string: a browser asks no leave for it, as it would for JSON.
_BEACON_TYPE: Final = "text/plain"
# How long a browser may remember that an origin has leave, in seconds; Chromium takes no more.
_PREFLIGHT_AGE_S: Final = 7_200


class InteractionsRoute:
    """Answers by the Recorder: one object, or `{"interactions": […]}`.

    Args:
        recorder: What answers.
        content_types: What a body may say that it is; it is read as JSON.
    """

    def __init__(self, recorder: Recorder, content_types: Collection[str] = (JSON_TYPE,)) -> None:
        self._recorder = recorder
        self._content_types = content_types

    async def post(self, request: Request) -> Response:
        """Records what the body holds."""
        body = await read_json(request, content_types=self._content_types)
        trace = traceparent(request.headers.get("traceparent", ""))
        try:
            return await (self._batch(body, trace) if is_batch(body) else self._one(body, trace))
        except UnreadableBodyError as error:
            raise InvalidArgumentError([error.violation]) from error

    async def _one(self, body: bytes, trace: str) -> Response:
        event = decode_interaction(body)
        require_acting_for([event.user_id])
        recorded = await self._recorder.record((event,), trace)
        result = recorded.results[0]
        if result.status is Status.REJECTED:
            raise UnprocessableError(violations(result))
        return json_response({"result": _result(result)} | _durability(recorded))

    async def _batch(self, body: bytes, trace: str) -> Response:
        events = split_batch(body)
        require_batch_size(len(events))
        decoded = [_decoded(event) for event in events]
        require_acting_for(event.user_id for event in decoded if isinstance(event, pb.Interaction))
        recorded = await self._recorder.record(decoded, trace)
        answer: dict[str, Any] = {"results": [_result(result) for result in recorded.results]}
        return json_response(answer | _durability(recorded))


def routes(recorder: Recorder, cors_origins: Sequence[str] = ()) -> list[BaseRoute]:
    """Returns the routes for the process's server.

    Args:
        recorder: What answers.
        cors_origins: Origins of the pages that may call `/api/track` of another origin, such as `https://app.example`.
    """
    track = InteractionsRoute(recorder, (JSON_TYPE, _BEACON_TYPE))
    cors = _cors(cors_origins)
    return [
        Route("/feed/interactions", InteractionsRoute(recorder).post, methods=["POST"]),
        Route("/api/track", track.post, methods=["POST"], middleware=cors),
        # The middleware answers a preflight itself.
        Route("/api/track", _no_preflight, methods=["OPTIONS"], middleware=cors),
    ]


def _cors(origins: Sequence[str]) -> list[Middleware]:
    if not origins:
        return []
    # With credentials, because a beacon is always sent with them; nothing here reads a cookie.
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["POST"],
        allow_headers=[AUTHORIZATION, "content-type", "traceparent", REQUEST_ID_KEY],
        expose_headers=[REQUEST_ID_KEY, "retry-after"],
        allow_credentials=True,
        max_age=_PREFLIGHT_AGE_S,
    )
    return [cors]


async def _no_preflight(_request: Request) -> Response:
    raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)


def _decoded(body: bytes) -> pb.Interaction | Refusal:
    try:
        return decode_interaction(body)
    except UnreadableBodyError as error:
        return Refusal(error.event_id, (BrokenRule(error.violation.field, error.violation.reason),))


def _result(result: EventResult) -> dict[str, str]:
    answer = {"eventId": result.event_id, "status": result.status.value}
    if result.broken:
        answer |= {"field": result.broken[0].field, "reason": result.broken[0].reason}
    return answer


def _durability(recorded: Recorded) -> dict[str, str]:
    """Absent like every default value in protobuf's JSON, when nothing was accepted or nothing of it is kept."""
    return {"durability": recorded.durability} if recorded.durability else {}
