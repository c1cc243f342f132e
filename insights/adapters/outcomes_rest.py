"""The REST side: `POST /feed/outcomes`, `GET /feed/acceptance-rate`, `GET /feed/algorithm-performance`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from feed.insights.v1 import outcomes_pb2 as pb
from insights.adapters.rest import answer, decoded, parameters
from insights.service import OutcomeService
from runtime.errors import InvalidArgumentError, UnprocessableError, Violation
from runtime.json_http import read_json

OUTCOMES_PATH: Final = "/feed/outcomes"
ACCEPTANCE_PATH: Final = "/feed/acceptance-rate"
PERFORMANCE_PATH: Final = "/feed/algorithm-performance"

_TIME_TEXT: Final = "must be RFC 3339 with a zone, such as 2025-09-01T12:00:00Z"


class _Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """All optional, and null as good as absent, as in protobuf's JSON: what must be there, the rules say."""

    recommendation_log_id: str | None = None
    video_id: str | None = None
    action: str | None = None
    user_rating: float | None = None


_DECODER: Final = msgspec.json.Decoder(_Outcome)


def routes(service: OutcomeService) -> list[BaseRoute]:
    """Returns the routes for the process's server."""

    async def track(request: Request) -> Response:
        wanted = _outcome(await read_json(request))
        try:
            return answer(await service.track_outcome(wanted))
        except InvalidArgumentError as error:
            raise UnprocessableError(error.violations) from error

    async def acceptance(request: Request) -> Response:
        given = parameters(request, ("userId", "algorithm", "since"))
        asked = pb.GetAcceptanceRateRequest(
            user_id=given.get("userId", ""), algorithm=given.get("algorithm", ""), since=_since(given)
        )
        return answer(await service.get_acceptance_rate(asked))

    async def performance(request: Request) -> Response:
        asked = pb.GetAlgorithmPerformanceRequest(since=_since(parameters(request, ("since",))))
        return answer(await service.get_algorithm_performance(asked))

    return [
        Route(OUTCOMES_PATH, track, methods=["POST"]),
        Route(ACCEPTANCE_PATH, acceptance, methods=["GET"]),
        Route(PERFORMANCE_PATH, performance, methods=["GET"]),
    ]


def _outcome(body: bytes) -> pb.TrackOutcomeRequest:
    found = decoded(body, _DECODER)
    known = found.action in pb.UserAction.keys()  # noqa: SIM118  # no dict
    return pb.TrackOutcomeRequest(
        recommendation_log_id=found.recommendation_log_id or "",
        video_id=found.video_id or "",
        action=pb.UserAction.Value(found.action) if known and found.action else pb.USER_ACTION_UNSPECIFIED,
        user_rating=found.user_rating,
    )


def _since(given: Mapping[str, str]) -> Timestamp | None:
    if "since" not in given:
        return None
    try:
        time = datetime.fromisoformat(given["since"])
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidArgumentError([Violation("since", _TIME_TEXT)])
    return Timestamp(seconds=int(time.timestamp()))
