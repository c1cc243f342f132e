"""Which corrections make sense: the same for who makes them and for who obeys them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Final

from storage.problems import Problem, ProblemsError

# What the bridge serves; a correction of another kind of media is kept and changes nothing.
VIDEO: Final = "video"

# What a correction may be about besides a video, and the parts of a score that one may multiply.
TARGETS: Final = ("author", "tag", "language")
PARTS: Final = ("user_item", "item_bias", "prior")

MOST_VALUE: Final = 100.0
_REASON_CHARS: Final = 1_000
_TEXT_CHARS: Final = 128
_MEDIA_CHARS: Final = 64
_LANGUAGE_CHARS: Final = 35
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
# No database takes one in a text.
_NUL: Final = "\0"
_ID_TEXT: Final = "1 to 128 characters of A-Z a-z 0-9 _ . : -"


class CorrectionType(StrEnum):
    """What a correction does."""

    BOOST = "BOOST"
    REDUCE = "REDUCE"
    BLOCK = "BLOCK"
    REWEIGHT = "REWEIGHT"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a correction changes; empty texts do not limit.

    Args:
        correction_type: What it does: a name of `CorrectionType`.
        user_id: Whose feed; empty: everybody's.
        video_id: Which video.
        media_type: Which kind of media.
        target_factor: What `target_value` is: one of `TARGETS`; for REWEIGHT the part of the score, one of `PARTS`.
        target_value: The author, tag or language.
        value: How much, -100 to 100; None only for BLOCK.
    """

    correction_type: str
    user_id: str = ""
    video_id: str = ""
    media_type: str = ""
    target_factor: str = ""
    target_value: str = ""
    value: float | None = None


class CorrectionError(ProblemsError):
    """A correction makes no sense. Its maker's fault; mend the fields that it names."""


def problems_of(rule: Rule) -> tuple[Problem, ...]:
    """Returns what is wrong with a rule; nothing when it makes sense."""
    if rule.correction_type not in CorrectionType.__members__:
        return (Problem("correction_type", f"must be one of {', '.join(CorrectionType)}"),)
    return (*_wrong_ids(rule), *_wrong_target(rule), *_wrong_value(rule))


def problems_of_entry(reason: str, admin_id: str) -> tuple[Problem, ...]:
    """Returns what is wrong with why and by whom a correction is made."""
    return (*_wrong_text("reason", reason, 1, _REASON_CHARS), *problems_of_admin(admin_id))


def problems_of_admin(admin_id: str) -> tuple[Problem, ...]:
    """Returns what is wrong with by whom a correction is made or switched off."""
    return tuple(_wrong_text("admin_id", admin_id, 1, _TEXT_CHARS))


def _wrong_text(name: str, text: str, fewest: int, most: int) -> Iterator[Problem]:
    if not fewest <= len(text) <= most:
        yield Problem(name, f"must be {f'{fewest} to' if fewest else 'at most'} {most} characters")
    elif _NUL in text:
        yield Problem(name, "must not hold a NUL")


def _wrong_ids(rule: Rule) -> Iterator[Problem]:
    for name, given in (("user_id", rule.user_id), ("video_id", rule.video_id)):
        if given and not _ID.fullmatch(given):
            yield Problem(name, f"must be {_ID_TEXT}")
    yield from _wrong_text("media_type", rule.media_type, 0, _MEDIA_CHARS)


def _wrong_target(rule: Rule) -> Iterator[Problem]:
    reweights = rule.correction_type == CorrectionType.REWEIGHT
    accepted = PARTS if reweights else TARGETS
    if rule.target_factor and rule.target_factor not in accepted:
        yield Problem("target_factor", f"must be one of {', '.join(accepted)} for {rule.correction_type}")
    elif reweights:
        yield from _wrong_reweighting(rule)
    elif bool(rule.target_factor) != bool(rule.target_value):
        yield Problem("target_value", "goes with target_factor: give both or neither")
    elif not (rule.video_id or rule.target_factor):
        yield Problem("video_id", "name a video, or an author, tag or language: not all videos are meant")
    most = _LANGUAGE_CHARS if rule.target_factor == "language" else _TEXT_CHARS
    yield from _wrong_text("target_value", rule.target_value, 0, most)


def _wrong_reweighting(rule: Rule) -> Iterator[Problem]:
    if not rule.target_factor:
        yield Problem("target_factor", f"must be one of {', '.join(PARTS)} for {rule.correction_type}")
    if rule.target_value:
        yield Problem("target_value", f"must be empty for {rule.correction_type}")


def _wrong_value(rule: Rule) -> Iterator[Problem]:
    if rule.value is None:
        if rule.correction_type != CorrectionType.BLOCK:
            yield Problem("correction_value", f"must be a number from {-MOST_VALUE:g} to {MOST_VALUE:g}")
    elif not isfinite(rule.value) or abs(rule.value) > MOST_VALUE:
        yield Problem("correction_value", f"must be a number from {-MOST_VALUE:g} to {MOST_VALUE:g}")
    elif rule.value == 0 and rule.correction_type in {CorrectionType.BOOST, CorrectionType.REDUCE}:
        yield Problem("correction_value", "must not be 0, which changes nothing")
