"""The REST side: `POST /feed/interactions`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interactions.adapters.interactions_grpc import require_batch_size, violations
from interactions.adapters.rest_json import UnreadableBodyError, decode_interaction, is_batch, split_batch
from interactions.adapters.trace import traceparent
from interactions.domain.event import BrokenRule, Candidate, Refusal
from interactions.domain.result import EventResult, Status
from interactions.messages import candidate
from interactions.service import Recorder
from runtime.errors import InvalidArgumentError, UnprocessableError
from runtime.json_http import json_response, read_json


class InteractionsRoute:
    """Answers by the Recorder: one object, or `{"interactions": […]}`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def post(self, request: Request) -> Response:
        """Records what the body holds."""
        body = await read_json(request)
        trace = traceparent(request.headers.get("traceparent", ""))
        try:
            return await (self._batch(body, trace) if is_batch(body) else self._one(body, trace))
        except UnreadableBodyError as error:
            raise InvalidArgumentError([error.violation]) from error

    async def _one(self, body: bytes, trace: str) -> Response:
        recorded = await self._recorder.record([candidate(decode_interaction(body))], trace)
        (result,) = recorded.results
        if result.status is Status.REJECTED:
            raise UnprocessableError(violations(result))
        return json_response({"result": _result(result), "durability": recorded.durability})

    async def _batch(self, body: bytes, trace: str) -> Response:
        events = split_batch(body)
        require_batch_size(len(events))
        recorded = await self._recorder.record([_candidate(event) for event in events], trace)
        answer: dict[str, Any] = {"results": [_result(result) for result in recorded.results]}
        # Absent like every default value in protobuf's JSON, when nothing was accepted.
        return json_response(answer | ({"durability": recorded.durability} if recorded.durability else {}))


def routes(recorder: Recorder) -> list[BaseRoute]:
    """Returns the routes for the process's server."""
    return [Route("/feed/interactions", InteractionsRoute(recorder).post, methods=["POST"])]


def _candidate(body: bytes) -> Candidate:
    try:
        return candidate(decode_interaction(body))
    except UnreadableBodyError as error:
        return Refusal(error.event_id, (BrokenRule(error.violation.field, error.violation.reason),))


def _result(result: EventResult) -> dict[str, str]:
    answer = {"eventId": result.event_id, "status": result.status.value}
    if result.broken:
        answer |= {"field": result.broken[0].field, "reason": result.broken[0].reason}
    return answer
