"""The service over HTTP: `GET /feed/recommendations` and `GET /feed/explanation`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.explain import Explainer
from bridge.service import RecommendationService
from feed.common.v1 import common_pb2
from feed.recommendations.v1 import recommendations_pb2
from runtime.access.rules import require_acting_for
from runtime.errors import InvalidArgumentError, Violation
from runtime.servers.json_http import json_response
from runtime.validation import check

PATH: Final = "/feed/recommendations"
EXPLANATION_PATH: Final = "/feed/explanation"

_INT32: Final = range(-(2**31), 2**31)

_FeedRequest = recommendations_pb2.GetRecommendationsRequest
_ExplainRequest = recommendations_pb2.ExplainRecommendationRequest

_RequestT = TypeVar("_RequestT", _FeedRequest, _ExplainRequest)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A query parameter.

    Args:
        parent: The part of the request it belongs to; empty: the request itself.
        field: Name of the field there.
        read: Turns a value into the field's; raises ValueError with a text for the caller.
        repeated: Whether it may be given several times, once an element.
    """

    parent: str
    field: str
    read: Callable[[str], Any]
    repeated: bool = False


def routes(service: RecommendationService, explainer: Explainer) -> list[Route]:
    """Returns the routes of the service."""

    async def recommendations(request: Request) -> Response:
        asked = parse(request.query_params.multi_items())
        require_acting_for([asked.user_id])
        return _json(await service.get_recommendations(asked))

    async def explanation(request: Request) -> Response:
        asked = _read(_ExplainRequest(), _OF_EXPLANATIONS, request.query_params.multi_items())
        require_acting_for([asked.user_id])
        return _json(await explainer.explain(asked))

    return [
        Route(PATH, recommendations, methods=["GET"]),
        Route(EXPLANATION_PATH, explanation, methods=["GET"]),
    ]


def parse(parameters: Sequence[tuple[str, str]]) -> _FeedRequest:
    """Reads a request for a page from query parameters and checks it against the contract's rules.

    Raises:
        InvalidArgumentError: With every unknown, repeated or wrong parameter.
    """
    return _read(_FeedRequest(), _OF_PAGES, parameters)


def _json(message: Message) -> Response:
    return json_response(json_format.MessageToDict(message, always_print_fields_with_no_presence=True))


def _read(request: _RequestT, known: Mapping[str, _Parameter], parameters: Sequence[tuple[str, str]]) -> _RequestT:
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        given.setdefault(name, []).append(value)
    violations = [problem for name, values in given.items() for problem in _take(request, known, name, values)]
    wrong = {violation.field for violation in violations}
    violations += [problem for problem in map(_by_parameter, check(request)) if problem.field not in wrong]
    if violations:
        raise InvalidArgumentError(violations)
    return request


def _take(request: Message, known: Mapping[str, _Parameter], name: str, values: Sequence[str]) -> list[Violation]:
    parameter = known.get(name)
    if parameter is None:
        return [Violation(name, f"unknown parameter; known ones: {', '.join(known)}")]
    if len(values) > 1 and not parameter.repeated:
        return [Violation(name, "must be given once")]
    target = getattr(request, parameter.parent) if parameter.parent else request
    try:
        read = [parameter.read(value) for value in values]
    except ValueError as error:
        return [Violation(name, str(error))]
    if parameter.repeated:
        getattr(target, parameter.field).extend(read)
    elif isinstance(read[0], Timestamp):
        getattr(target, parameter.field).CopyFrom(read[0])
    else:
        setattr(target, parameter.field, read[0])
    return []


def _by_parameter(violation: Violation) -> Violation:
    """Names the parameter where the rules name a path: `filters.maxDurationS` is `maxDurationS` here."""
    return Violation(violation.field.removeprefix("filters.").removeprefix("context."), violation.reason)


def _text(value: str) -> str:
    return value


def _page_size(value: str) -> int:
    digits = value.removeprefix("-")
    # A longer one cannot be in the range, and int() of a million digits would take its time.
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len("2147483647") and int(value) in _INT32):
        raise ValueError("must be a whole number from 0 to 100")
    return int(value)


def _duration(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError("must be a number of seconds from 0 to 86400") from None


def _flag(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ValueError("must be true or false")
    return value == "true"


def _assignment(value: str) -> common_pb2.ExperimentAssignment:
    experiment, parted, variant = value.partition("=")
    if not parted:
        raise ValueError("must be an experiment and a variant, such as order=calm")
    return common_pb2.ExperimentAssignment(experiment=experiment, variant=variant)


def _time(value: str) -> Timestamp:
    time = Timestamp()
    try:
        time.FromJsonString(value)
    except ValueError:
        raise ValueError("must be a time as in RFC 3339, such as 2025-09-01T00:00:00Z") from None
    return time


# By the JSON names of the fields; the ranges are the contract's, checked on the finished message.
_OF_EXPLANATIONS: Final[Mapping[str, _Parameter]] = {
    "userId": _Parameter("", "user_id", _text),
    "videoId": _Parameter("", "video_id", _text),
    "recommendationId": _Parameter("", "recommendation_id", _text),
}
_OF_PAGES: Final[Mapping[str, _Parameter]] = {
    "userId": _Parameter("", "user_id", _text),
    "pageSize": _Parameter("", "page_size", _page_size),
    "pageToken": _Parameter("", "page_token", _text),
    "feedSessionId": _Parameter("", "feed_session_id", _text),
    "explain": _Parameter("", "explain", _flag),
    "includeTags": _Parameter("filters", "include_tags", _text, repeated=True),
    "excludeTags": _Parameter("filters", "exclude_tags", _text, repeated=True),
    "excludeVideoIds": _Parameter("filters", "exclude_video_ids", _text, repeated=True),
    "excludeAuthorIds": _Parameter("filters", "exclude_author_ids", _text, repeated=True),
    "includeAuthorIds": _Parameter("filters", "include_author_ids", _text, repeated=True),
    "languages": _Parameter("filters", "languages", _text, repeated=True),
    "excludeLanguages": _Parameter("filters", "exclude_languages", _text, repeated=True),
    "minDurationS": _Parameter("filters", "min_duration_s", _duration),
    "maxDurationS": _Parameter("filters", "max_duration_s", _duration),
    "publishedAfter": _Parameter("filters", "published_after", _time),
    "publishedBefore": _Parameter("filters", "published_before", _time),
    "countries": _Parameter("filters", "countries", _text, repeated=True),
    "locale": _Parameter("context", "locale", _text),
    "country": _Parameter("context", "country", _text),
    "device": _Parameter("context", "device", _text),
    "appVersion": _Parameter("context", "app_version", _text),
    "experimentOverrides": _Parameter("", "experiment_overrides", _assignment, repeated=True),
}
