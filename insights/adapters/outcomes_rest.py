"""The REST side: `POST /feed/outcomes`, and `GET` of `/feed/acceptance-rate`, `/feed/funnel` and the like."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from feed.insights.v1 import outcomes_pb2 as pb
from insights.adapters.rest import answer, decoded, parameters
from insights.service import OutcomeService
from runtime.errors import InvalidArgumentError, UnprocessableError, Violation
from runtime.servers.json_http import read_json

OUTCOMES_PATH: Final = "/feed/outcomes"
ACCEPTANCE_PATH: Final = "/feed/acceptance-rate"
PERFORMANCE_PATH: Final = "/feed/algorithm-performance"
FUNNEL_PATH: Final = "/feed/funnel"
TRENDS_PATH: Final = "/feed/trends"

_TIME_TEXT: Final = "must be RFC 3339 with a zone, such as 2025-09-01T12:00:00Z"
_WINDOW: Final = ("splitBy", "algorithm", "since", "until")


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
            user_id=given.get("userId", ""), algorithm=given.get("algorithm", ""), since=_time(given, "since")
        )
        return answer(await service.get_acceptance_rate(asked))

    async def performance(request: Request) -> Response:
        asked = pb.GetAlgorithmPerformanceRequest(since=_time(parameters(request, ("since",)), "since"))
        return answer(await service.get_algorithm_performance(asked))

    async def funnel(request: Request) -> Response:
        return answer(await service.get_funnel(pb.GetFunnelRequest(**_window(request))))

    async def trends(request: Request) -> Response:
        return answer(await service.get_trends(pb.GetTrendsRequest(**_window(request))))

    return [
        Route(OUTCOMES_PATH, track, methods=["POST"]),
        Route(ACCEPTANCE_PATH, acceptance, methods=["GET"]),
        Route(PERFORMANCE_PATH, performance, methods=["GET"]),
        Route(FUNNEL_PATH, funnel, methods=["GET"]),
        Route(TRENDS_PATH, trends, methods=["GET"]),
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


def _window(request: Request) -> dict[str, Any]:
    """Returns the fields that both GetFunnel and GetTrends have."""
    given = parameters(request, _WINDOW)
    split = given.get("splitBy", pb.SplitBy.Name(pb.SPLIT_BY_UNSPECIFIED))
    if split not in pb.SplitBy.keys():  # noqa: SIM118  # no dict
        raise InvalidArgumentError([Violation("splitBy", f"must be one of {', '.join(pb.SplitBy.keys()[1:])}")])
    return {
        "split_by": pb.SplitBy.Value(split),
        "algorithm": given.get("algorithm", ""),
        "since": _time(given, "since"),
        "until": _time(given, "until"),
    }


def _time(given: Mapping[str, str], name: str) -> Timestamp | None:
    if name not in given:
        return None
    try:
        time = datetime.fromisoformat(given[name])
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidArgumentError([Violation(name, _TIME_TEXT)])
    return Timestamp(seconds=int(time.timestamp()))
