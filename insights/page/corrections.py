"""What editors change by hand: what holds, what is made and switched off, what came of it, and who did it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Final

from starlette.requests import Request

from feed.insights.v1 import corrections_pb2 as pb
from insights.correction_service import CorrectionService
from insights.page.forms import given_form
from insights.page.views import Door, Entry, SeeOther, View
from insights.ports import CorrectionEffect, Corrections, CorrectionStory, LedgerUnavailableError
from runtime.errors import InvalidArgumentError, NotFoundError
from storage.audit import Door as Through
from storage.correction_rules import PARTS, TARGETS, Rule
from storage.corrections import StoredCorrection

_PATH: Final = "/corrections"
_NEW_PATH: Final = "/corrections/new"
_ONE_PATH: Final = "/corrections/{correction_id}"
_OFF_PATH: Final = "/corrections/{correction_id}/off"
_SHOWN: Final = 50
_MOST_CHARS: Final = 128

_WINDOWS_H: Final = {"1": "an hour", "24": "a day", "168": "a week", "720": "a month"}
_WINDOW_H: Final = "24"
_KINDS: Final = {"BOOST": "Boost", "REDUCE": "Reduce", "BLOCK": "Block", "REWEIGHT": "Reweight"}
_FACTORS: Final = {"": "none", **{each: each for each in TARGETS}, **{each: f"part {each}" for each in PARTS}}
_DONE: Final = {
    "created": "It holds within five seconds.",
    "deactivated": "It holds no more within five seconds.",
}


class CorrectionsPage:
    """Corrections, and the few pages that change them.

    Args:
        corrections: Where they are.
        service: What takes changes, by the same rules as from elsewhere.
    """

    entry = Entry(_PATH, "Corrections")

    def __init__(self, corrections: Corrections, service: CorrectionService) -> None:
        self._corrections = corrections
        self._service = service
        self.doors: Sequence[Door] = (
            Door(_PATH, self._list),
            Door(_NEW_PATH, self._ask),
            Door(_NEW_PATH, self._create, "POST"),
            Door(_ONE_PATH, self._show),
            Door(_OFF_PATH, self._ask_off),
            Door(_OFF_PATH, self._switch_off, "POST"),
        )

    async def _list(self, request: Request) -> View:
        everything = request.query_params.get("all") == "1"
        token = request.query_params.get("page", "")
        asked = pb.ListCorrectionsRequest(page_size=_SHOWN, page_token=token, include_inactive=everything)
        found = await self._service.list_corrections(asked)
        values = {
            "lines": [_line(each) for each in found.corrections],
            "next_page": found.next_page_token,
            "everything": everything,
            "is_first": not token,
        }
        return View("corrections.html", values)

    async def _ask(self, _request: Request) -> View:
        return _form({}, {})

    async def _create(self, request: Request) -> View | SeeOther:
        given = given_form(request)
        try:
            asked = pb.CreateCorrectionRequest(correction=_correction(given))
            made = await self._service.create_correction(asked, Through.PAGE)
        except InvalidArgumentError as error:
            return _form(given, _errors(error))
        return SeeOther(f"{_PATH}/{made.correction.correction_id}", "created")

    async def _show(self, request: Request) -> View:
        story = await self._story(request)
        window = request.query_params.get("window", _WINDOW_H)
        window = window if window in _WINDOWS_H else _WINDOW_H
        values = {
            **_told(story),
            "effect": await self._effect(story.correction, window),
            "window": window,
            "windows": _WINDOWS_H,
            "done": _DONE.get(request.query_params.get("done", "")),
        }
        return View("correction.html", values)

    async def _ask_off(self, request: Request) -> View:
        return _off_form(await self._story(request), {}, {})

    async def _switch_off(self, request: Request) -> View | SeeOther:
        story = await self._story(request)
        given = given_form(request)
        correction_id = story.correction.correction_id
        asked = pb.DeactivateCorrectionRequest(correction_id=correction_id, admin_id=given.get("adminId", ""))
        try:
            await self._service.deactivate_correction(asked, Through.PAGE)
        except InvalidArgumentError as error:
            return _off_form(story, given, _errors(error))
        return SeeOther(f"{_PATH}/{correction_id}", "deactivated")

    async def _story(self, request: Request) -> CorrectionStory:
        correction_id = request.path_params["correction_id"]
        # No id is longer, and no database takes every character.
        known = len(correction_id) <= _MOST_CHARS and correction_id.isprintable()
        found = await self._corrections.story(correction_id) if known else None
        if found is None:
            raise NotFoundError("NOT_FOUND", "There is no such correction.")
        return found

    async def _effect(self, correction: StoredCorrection, window: str) -> CorrectionEffect | None:
        """Returns what came of a correction; None when that takes too long: the rest of the page is there before."""
        try:
            return await self._corrections.effect(correction.correction_id, timedelta(hours=int(window)))
        except LedgerUnavailableError:
            return None


def about(factor: str, value: str, video_id: str) -> str:
    """Returns in words what a correction is about."""
    video = f"video {video_id}" if video_id else ""
    factor = f"part {factor}" if factor in PARTS else f"{factor} {value}".strip()
    return ", ".join(each for each in (video, factor) if each) or "all videos"


def _line(each: pb.Correction) -> Mapping[str, object]:
    return {
        "correction_id": each.correction_id,
        "kind": _KINDS[pb.CorrectionType.Name(each.correction_type)],
        "value": None if each.correction_type == pb.BLOCK else each.correction_value,
        "about": about(each.target_factor, each.target_value, each.video_id),
        "user_id": each.user_id,
        "reason": each.reason,
        "admin_id": each.admin_id,
        "created_at": each.created_time.ToDatetime(UTC),
        "is_active": each.is_active,
    }


def _told(story: CorrectionStory) -> Mapping[str, object]:
    rule: Rule = story.correction.rule
    return {
        "correction": story.correction,
        "rule": rule,
        "changes": story.changes,
        "kind": _KINDS.get(rule.correction_type, rule.correction_type),
        "about": about(rule.target_factor, rule.target_value, rule.video_id),
    }


def _form(given: Mapping[str, str], errors: Mapping[str, str]) -> View:
    values = {"given": given, "errors": errors, "kinds": _KINDS, "factors": _FACTORS}
    return View("correction_new.html", values, 422 if errors else 200)


def _off_form(story: CorrectionStory, given: Mapping[str, str], errors: Mapping[str, str]) -> View:
    return View("correction_off.html", {**_told(story), "given": given, "errors": errors}, 422 if errors else 200)


def _errors(error: InvalidArgumentError) -> Mapping[str, str]:
    return {each.field.removeprefix("correction."): each.reason for each in error.violations}


def _correction(given: Mapping[str, str]) -> pb.Correction:
    kind = given.get("correctionType", "")
    return pb.Correction(
        user_id=given.get("userId", ""),
        video_id=given.get("videoId", ""),
        correction_type=pb.CorrectionType.Value(kind) if kind in _KINDS else pb.CORRECTION_TYPE_UNSPECIFIED,
        target_factor=given.get("targetFactor", ""),
        target_value=given.get("targetValue", ""),
        correction_value=_number(given.get("correctionValue", "")),
        reason=given.get("reason", ""),
        admin_id=given.get("adminId", ""),
    )


def _number(text: str) -> float:
    """Returns a number; of what is none, one that the rules refuse."""
    try:
        return float(text or 0)
    except ValueError:
        return float("nan")
