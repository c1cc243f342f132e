"""The REST side: `/feed/corrections`, and what is below it."""

from collections.abc import Awaitable, Mapping
from typing import Final

import msgspec
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from feed.insights.v1 import corrections_pb2 as pb
from insights.adapters.rest import answer, decoded, parameters
from insights.correction_service import CorrectionService
from runtime.errors import InvalidArgumentError, UnprocessableError, Violation
from runtime.servers.json_http import read_json
from storage.audit import Door

CORRECTIONS_PATH: Final = "/feed/corrections"
DEACTIVATE_PATH: Final = "/feed/corrections/{correctionId}/deactivate"
EFFECT_PATH: Final = "/feed/corrections/{correctionId}/effect"

# What the message is called over gRPC; here it is the body itself.
_PARENT: Final = "correction."
_FLAGS: Final = {"true": True, "false": False}
# A longer one cannot be in any range, and int() of a million digits would take its time.
_MOST_DIGITS: Final = 9


class _Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """All optional, and null as good as absent, as in protobuf's JSON: what must be there, the rules say."""

    user_id: str | None = None
    video_id: str | None = None
    media_type: str | None = None
    correction_type: str | None = None
    target_factor: str | None = None
    target_value: str | None = None
    correction_value: float | None = None
    reason: str | None = None
    admin_id: str | None = None


class _Deactivation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    admin_id: str | None = None


_CORRECTION: Final = msgspec.json.Decoder(_Correction)
_DEACTIVATION: Final = msgspec.json.Decoder(_Deactivation)


def routes(service: CorrectionService) -> list[BaseRoute]:
    """Returns the routes for the process's server."""

    async def create(request: Request) -> Response:
        wanted = pb.CreateCorrectionRequest(correction=_correction(decoded(await read_json(request), _CORRECTION)))
        return await _changed(service.create_correction(wanted, Door.REST))

    async def list_(request: Request) -> Response:
        given = parameters(request, ("pageSize", "pageToken", "includeInactive"))
        asked = pb.ListCorrectionsRequest(
            page_size=_whole(given, "pageSize", 100),
            page_token=given.get("pageToken", ""),
            include_inactive=_flag(given, "includeInactive"),
        )
        return answer(await service.list_corrections(asked))

    async def deactivate(request: Request) -> Response:
        given = decoded(await read_json(request), _DEACTIVATION)
        wanted = pb.DeactivateCorrectionRequest(correction_id=_id(request), admin_id=given.admin_id or "")
        return await _changed(service.deactivate_correction(wanted, Door.REST))

    async def effect(request: Request) -> Response:
        window_h = _whole(parameters(request, ("windowH",)), "windowH", 720)
        asked = pb.GetCorrectionEffectRequest(correction_id=_id(request), window_h=window_h)
        return answer(await service.get_correction_effect(asked))

    return [
        Route(CORRECTIONS_PATH, create, methods=["POST"]),
        Route(CORRECTIONS_PATH, list_, methods=["GET"]),
        Route(DEACTIVATE_PATH, deactivate, methods=["POST"]),
        Route(EFFECT_PATH, effect, methods=["GET"]),
    ]


async def _changed(change: Awaitable[Message]) -> Response:
    try:
        return answer(await change)
    except InvalidArgumentError as error:
        broken = [Violation(each.field.removeprefix(_PARENT), each.reason) for each in error.violations]
        raise UnprocessableError(broken) from error


def _correction(given: _Correction) -> pb.Correction:
    known = given.correction_type in pb.CorrectionType.keys()  # noqa: SIM118  # no dict
    kind = given.correction_type if known and given.correction_type else "CORRECTION_TYPE_UNSPECIFIED"
    return pb.Correction(
        user_id=given.user_id or "",
        video_id=given.video_id or "",
        media_type=given.media_type or "",
        correction_type=pb.CorrectionType.Value(kind),
        target_factor=given.target_factor or "",
        target_value=given.target_value or "",
        correction_value=given.correction_value or 0.0,
        reason=given.reason or "",
        admin_id=given.admin_id or "",
    )


def _id(request: Request) -> str:
    found: str = request.path_params["correctionId"]
    return found


def _whole(given: Mapping[str, str], name: str, most: int) -> int:
    value = given.get(name, "0")
    if not (value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS):
        raise InvalidArgumentError([Violation(name, f"must be a whole number from 0 to {most}")])
    return int(value)


def _flag(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "false")
    if value not in _FLAGS:
        raise InvalidArgumentError([Violation(name, "must be true or false")])
    return _FLAGS[value]
