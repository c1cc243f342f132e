"""How an attempt can end, and what each end means to the retry loop, the breaker and the caller."""

from enum import StrEnum
from typing import Final


class Source(StrEnum):
    """Where a page's ranking came from, the best first; the names are those of the contract."""

    LIGHTFM = "LIGHTFM"
    PRECOMPUTED = "PRECOMPUTED"
    TRENDING = "TRENDING"
    EDITORIAL = "EDITORIAL"


class FallbackReason(StrEnum):
    """Why a page is not from the model; the names are those of the contract."""

    NONE = "NONE"
    DEADLINE = "DEADLINE"
    UNAVAILABLE = "UNAVAILABLE"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    OVERLOAD = "OVERLOAD"
    RETRY_BUDGET = "RETRY_BUDGET"
    MODEL_MISSING = "MODEL_MISSING"
    CONTRACT_MISMATCH = "CONTRACT_MISMATCH"
    EMPTY_RANKING = "EMPTY_RANKING"


class Outcome(StrEnum):
    """How one attempt at a scorer ended."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    PUSHED_BACK = "pushed_back"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"
    MODEL_MISSING = "model_missing"
    CONTRACT_MISMATCH = "contract_mismatch"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class Verdict(StrEnum):
    """What an attempt tells the breaker about its scorer."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


# A refusal that is not the scorer's ill health (no model, another contract, too busy, a request it does not
# take, a caller who left) says nothing about whether the next call would work.
VERDICTS: Final = {
    Outcome.OK: Verdict.SUCCESS,
    Outcome.TIMEOUT: Verdict.FAILURE,
    Outcome.UNAVAILABLE: Verdict.FAILURE,
    Outcome.INTERNAL: Verdict.FAILURE,
    Outcome.PUSHED_BACK: Verdict.IGNORED,
    Outcome.OVERLOADED: Verdict.IGNORED,
    Outcome.MODEL_MISSING: Verdict.IGNORED,
    Outcome.CONTRACT_MISMATCH: Verdict.IGNORED,
    Outcome.REFUSED: Verdict.IGNORED,
    Outcome.CANCELLED: Verdict.IGNORED,
}

# What the caller is told when the last attempt ended so. CANCELLED has none: nobody is left to be told.
REASONS: Final = {
    Outcome.TIMEOUT: FallbackReason.DEADLINE,
    Outcome.UNAVAILABLE: FallbackReason.UNAVAILABLE,
    Outcome.INTERNAL: FallbackReason.UNAVAILABLE,
    Outcome.REFUSED: FallbackReason.UNAVAILABLE,
    Outcome.PUSHED_BACK: FallbackReason.OVERLOAD,
    Outcome.OVERLOADED: FallbackReason.OVERLOAD,
    Outcome.MODEL_MISSING: FallbackReason.MODEL_MISSING,
    Outcome.CONTRACT_MISMATCH: FallbackReason.CONTRACT_MISMATCH,
}
