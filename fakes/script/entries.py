"""What may stand in a script: each field with its type and the words that refuse another value."""

from typing import Annotated, Any, Final, Literal

import grpc
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fakes.script.acts import DEFAULT_MODEL_VERSION, DEFAULT_SEED, DEFAULT_VIDEOS, Fallback

MOST_MS: Final = 600_000
MOST_REPEATS: Final = 1_000_000_000

_STATUS: Final = tuple(code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK)
_TEXT: Final = "must be a text of 1 to 256 characters"
_SHARE: Final = "must be a number above 0 and at most 1"
_CODES: Final = f"must be one of {', '.join(_STATUS)}"
_FALLBACKS: Final = tuple(each.value for each in Fallback)
_LIST: Final = "must be a list of tables, such as [{ hang = true }]"


def _only_true(given: bool | None) -> bool | None:
    if given is False:
        raise ValueError("false")
    return given


# Each also takes None, which TOML cannot say: the field was left out.
_Flag = Annotated[bool | None, AfterValidator(_only_true), Field(description="must be true, or be left out")]
_Ms = Annotated[float, Field(ge=0, le=MOST_MS)]
_WholeMs = Annotated[int | None, Field(ge=0, le=MOST_MS, description=f"must be a whole number from 0 to {MOST_MS}")]
_LatencyMs = Annotated[
    _Ms | Annotated[list[_Ms], Field(min_length=2, max_length=2)] | None,
    Field(description=f"must be a number from 0 to {MOST_MS}, or [from, to] of two such numbers"),
]
_Text = Annotated[str | None, Field(min_length=1, max_length=256, description=_TEXT)]
_Status = Annotated[Literal[_STATUS] | None, Field(description=_CODES)]  # type: ignore[valid-type]
_Share = Annotated[float | None, Field(gt=0, le=1, description=_SHARE)]
_Repeat = Annotated[
    int | None, Field(ge=1, le=MOST_REPEATS, description=f"must be a whole number from 1 to {MOST_REPEATS}")
]
_Health = Annotated[Literal["SERVING", "NOT_SERVING"] | None, Field(description='must be "SERVING" or "NOT_SERVING"')]
_Mix = Annotated[list[Any] | None, Field(min_length=1, description=_LIST)]


class Table(BaseModel):
    """A table of the script; it has no other fields than these."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Wording(Table):
    """How a status is worded."""

    reason: _Text = None
    message: _Text = None


class Mixed(Table):
    """One of several choices of a mix."""

    share: Annotated[float, Field(gt=0, le=1, description=_SHARE)]


class ActFields(Wording):
    """What the scorer does with a call."""

    latency_ms: _LatencyMs = None
    status: _Status = None
    pushback_ms: _WholeMs = None
    hang: _Flag = None
    reset: _Flag = None
    half: _Flag = None
    ragged: _Flag = None
    nan: _Flag = None
    duplicates: _Flag = None
    empty: _Flag = None
    wrong_contract: _Flag = None
    model_missing: _Flag = None
    crash: _Flag = None
    stale_model: _Flag = None


class MixedAct(ActFields, Mixed):
    """One of several acts of a mix."""


class ActStep(ActFields):
    """An entry of `acts`."""

    repeat: _Repeat = None
    share: _Share = None
    health: _Health = None
    mix: _Mix = None


class AnswerFields(Wording):
    """The table `answer` of a page."""

    status: Annotated[Literal[_STATUS], Field(description=_CODES)]  # type: ignore[valid-type]
    retry_after_ms: _WholeMs = None


class PageFields(Table):
    """What the fake bridge does with a request."""

    latency_ms: _LatencyMs = None
    late: _Flag = None
    answer: Any = None


class MixedPage(PageFields, Mixed):
    """One of several treatments of a mix."""


class PageStep(PageFields):
    """An entry of `pages`."""

    repeat: _Repeat = None
    share: _Share = None
    mix: _Mix = None


class Document(Table):
    """The whole script."""

    seed: Annotated[int, Field(ge=0, lt=2**63, description="must be a whole number from 0 to 2^63 - 1")] = DEFAULT_SEED
    videos: Annotated[int, Field(ge=1, le=1_000_000, description="must be a whole number from 1 to 1000000")] = (
        DEFAULT_VIDEOS
    )
    model_version: Annotated[str, Field(min_length=1, max_length=256, description=_TEXT)] = DEFAULT_MODEL_VERSION
    fallback: Annotated[Literal[_FALLBACKS], Field(description=f"must be one of {', '.join(_FALLBACKS)}")] = (  # type: ignore[valid-type]
        Fallback.TRENDING.value
    )
    acts: Annotated[list[Any], Field(description=_LIST)] = []
    pages: Annotated[list[Any], Field(description=_LIST)] = []
