"""The model that is tried beside the live one: `<models_dir>/CANDIDATE`, a line of JSON.

Unsigned like `LIVE`: it can only choose among bundles, and those are signed.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec

from runtime.models.bundle_files import VERSION_PATTERN, read_bounded, replace_file
from runtime.models.model_bundle import BundleError, BundleFault

CANDIDATE_FILE: Final = "CANDIDATE"

# Several times the longest content.
_MAX_BYTES: Final = 512


class Mode(StrEnum):
    """How a candidate is tried: it ranks beside the live model for nobody to see, or it serves its users."""

    SHADOW = "shadow"
    CANARY = "canary"


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published model that is tried.

    Args:
        model_version: Which.
        mode: How.
        share: On which share of the users, 0 to 1.
    """

    model_version: Annotated[str, msgspec.Meta(pattern=rf"\A{VERSION_PATTERN}\Z")]
    mode: Mode
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]


def write(models_dir: Path, candidate: Candidate) -> None:
    """Makes a model the candidate, whole or not at all; scorers follow within a second or so.

    Raises:
        BundleError: When no scorer would take it.
    """
    text = msgspec.json.encode(candidate) + b"\n"
    _parsed(text)
    replace_file(models_dir / CANDIDATE_FILE, text)


def remove(models_dir: Path) -> None:
    """Ends the trial, if there is one."""
    (models_dir / CANDIDATE_FILE).unlink(missing_ok=True)


def read(models_dir: Path) -> Candidate | None:
    """Returns the candidate; None when there is none.

    Raises:
        BundleError: When the file holds something else.
    """
    try:
        text = read_bounded(models_dir / CANDIDATE_FILE, _MAX_BYTES)
    except BundleError as error:
        if error.fault is BundleFault.MISSING:
            return None
        raise
    return _parsed(text)


def _parsed(text: bytes) -> Candidate:
    try:
        return msgspec.json.decode(text, type=Candidate)
    except ValueError as error:  # all that msgspec raises, and of a text that is not UTF-8
        raise BundleError(BundleFault.BAD_MANIFEST, f"{CANDIDATE_FILE}: {error}") from error
