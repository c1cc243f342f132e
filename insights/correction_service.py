"""Takes what editors change by hand, and tells what came of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from feed.insights.v1 import corrections_pb2 as pb
from insights.domain.corrections import Place, PlaceError, opened, place_of, sealed
from insights.ports import Corrections, LedgerUnavailableError, PeriodCounts
from runtime.errors import InvalidArgumentError, NotFoundError, UnavailableError, Violation
from runtime.validation import require_valid
from storage.audit import Actor, Door
from storage.correction_rules import CorrectionError, Rule
from storage.corrections import StoredCorrection
from storage.problems import Problem

_PAGE_SIZE: Final = 20
_WINDOW_H: Final = 24

_NAMES: Final = {name: field.json_name for name, field in pb.Correction.DESCRIPTOR.fields_by_name.items()}


class CorrectionService:
    """The contract's CorrectionService.

    Args:
        corrections: Where they are.
    """

    def __init__(self, corrections: Corrections) -> None:
        self._corrections = corrections

    async def create_correction(self, request: pb.CreateCorrectionRequest, door: Door) -> pb.CreateCorrectionResponse:
        """Adds a correction.

        Args:
            request: What is asked for.
            door: Through what it came.

        Raises:
            InvalidArgumentError: A field breaks a rule.
            UnavailableError: The database cannot be used now.
        """
        require_valid(request)
        asked = request.correction
        try:
            made = await self._corrections.create(_rule(asked), asked.reason, Actor(asked.admin_id, door))
        except CorrectionError as error:
            raise InvalidArgumentError(_violations(error.problems, "correction.")) from error
        except LedgerUnavailableError as error:
            raise _unavailable() from error
        return pb.CreateCorrectionResponse(correction=_told(made))

    async def list_corrections(self, request: pb.ListCorrectionsRequest) -> pb.ListCorrectionsResponse:
        """Returns a page of corrections, newest first; raises as `create_correction`."""
        require_valid(request)
        place = _place(request)
        size = request.page_size or _PAGE_SIZE
        after = (place.time, place.correction_id) if place else None
        try:
            # One more tells whether there is a next page.
            found = await self._corrections.newest(size + 1, include_inactive=request.include_inactive, after=after)
        except LedgerUnavailableError as error:
            raise _unavailable() from error
        shown = found[:size]
        token = _token(shown[-1], include_inactive=request.include_inactive) if len(found) > size else ""
        return pb.ListCorrectionsResponse(corrections=[_told(each) for each in shown], next_page_token=token)

    async def deactivate_correction(
        self, request: pb.DeactivateCorrectionRequest, door: Door
    ) -> pb.DeactivateCorrectionResponse:
        """Switches a correction off, which may be off.

        Args:
            request: What is asked for.
            door: Through what it came.

        Raises:
            InvalidArgumentError: A field breaks a rule.
            NotFoundError: There is none of this id.
            UnavailableError: The database cannot be used now.
        """
        require_valid(request)
        try:
            found = await self._corrections.deactivate(request.correction_id, Actor(request.admin_id, door))
        except CorrectionError as error:
            raise InvalidArgumentError(_violations(error.problems)) from error
        except LedgerUnavailableError as error:
            raise _unavailable() from error
        if found is None:
            raise _missing(request.correction_id)
        return pb.DeactivateCorrectionResponse(correction=_told(found))

    async def get_correction_effect(self, request: pb.GetCorrectionEffectRequest) -> pb.GetCorrectionEffectResponse:
        """Returns what became of the videos that a correction is about; raises as `deactivate_correction`."""
        require_valid(request)
        window = timedelta(hours=request.window_h or _WINDOW_H)
        try:
            found = await self._corrections.effect(request.correction_id, window)
        except LedgerUnavailableError as error:
            raise _unavailable("; a shorter windowH takes less time") from error
        if found is None:
            raise _missing(request.correction_id)
        return pb.GetCorrectionEffectResponse(
            correction=_told(found.correction),
            before=_period(found.before),
            since=_period(found.since),
            one_in=found.one_in,
        )


def _rule(asked: pb.Correction) -> Rule:
    kind = pb.CorrectionType.Name(asked.correction_type)
    # Who blocks gives no value, which is 0 on the wire.
    value = None if asked.correction_type == pb.BLOCK and not asked.correction_value else asked.correction_value
    return Rule(kind, asked.user_id, asked.video_id, asked.media_type, asked.target_factor, asked.target_value, value)


def _told(stored: StoredCorrection) -> pb.Correction:
    rule = stored.rule
    return pb.Correction(
        correction_id=stored.correction_id,
        user_id=rule.user_id,
        video_id=rule.video_id,
        media_type=rule.media_type,
        correction_type=pb.CorrectionType.Value(rule.correction_type),
        target_factor=rule.target_factor,
        target_value=rule.target_value,
        correction_value=rule.value or 0.0,
        reason=stored.reason,
        admin_id=stored.admin_id,
        is_active=stored.is_active,
        created_time=_timestamp(stored.created_at),
    )


def _period(counted: PeriodCounts) -> pb.CorrectionPeriod:
    return pb.CorrectionPeriod(
        from_time=_timestamp(counted.period.first),
        until_time=_timestamp(counted.period.end),
        served=counted.served,
        accepted=counted.accepted,
        hidden=counted.hidden,
        pending=counted.pending,
    )


def _place(request: pb.ListCorrectionsRequest) -> Place | None:
    if not request.page_token:
        return None
    try:
        place = opened(request.page_token)
    except PlaceError as error:
        raise InvalidArgumentError([Violation("pageToken", "is not a page token of this service")]) from error
    if place.include_inactive != request.include_inactive:
        raise InvalidArgumentError([Violation("pageToken", "was given for another includeInactive; keep it the same")])
    return place


def _token(last: StoredCorrection, *, include_inactive: bool) -> str:
    return sealed(place_of(last.created_at, last.correction_id, include_inactive=include_inactive))


def _timestamp(time: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(time)
    return made


def _violations(problems: Sequence[Problem], parent: str = "") -> list[Violation]:
    return [Violation(parent + _NAMES[each.field], each.text) for each in problems]


def _missing(correction_id: str) -> NotFoundError:
    return NotFoundError("NOT_FOUND", f"correctionId: there is no correction {correction_id}")


def _unavailable(hint: str = "") -> UnavailableError:
    return UnavailableError("UNAVAILABLE", f"the database cannot be used now{hint}", retry_after_s=1.0)
