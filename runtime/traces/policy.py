"""Which traces are kept: those drawn by their id, and all that somebody will ask about; pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

# The ratio is held against the lower 64 bits, as every OpenTelemetry SDK does: all processes draw the same traces.
_ID_BITS: Final = 64


class Kept(StrEnum):
    """Why a trace is kept."""

    SAMPLED = "sampled"  # drawn, here or by who called
    DEGRADED = "degraded"  # the answer is a fallback
    FAILED = "failed"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """How traces are chosen.

    Args:
        ratio: Share of the traces begun here that are drawn, 0 to 1.
        slow_s: A request that takes longer is kept, in seconds.
    """

    ratio: float = 0.01
    slow_s: float = 0.1


class Ended(msgspec.Struct, frozen=True, gc=False):
    """What is known of a request once it has ended.

    Args:
        sampled: Whether it was drawn.
        degraded: Whether its answer is a fallback.
        failed: Whether it ended by a fault of ours.
        elapsed_s: How long it took, in seconds.
    """

    sampled: bool
    degraded: bool
    failed: bool
    elapsed_s: float


def drawn(trace_id: int, ratio: float) -> bool:
    """Draws by the id of a trace."""
    return trace_id & ((1 << _ID_BITS) - 1) < ratio * (1 << _ID_BITS)


def keeps(ended: Ended, policy: KeepPolicy) -> Kept | None:
    """Returns why the spans of a request are kept; None: they are not."""
    if ended.sampled:
        return Kept.SAMPLED
    if ended.degraded:
        return Kept.DEGRADED
    if ended.failed:
        return Kept.FAILED
    return Kept.SLOW if ended.elapsed_s > policy.slow_s else None


class Allowance:
    """Bounds what is kept without having been drawn: in an outage every request is, and all are alike.

    Args:
        per_s: Most in a second.
    """

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._second = 0
        self._left = per_s

    def take(self, now_s: float) -> bool:
        """Says whether there is one more at this time, in seconds of any clock."""
        second = int(now_s)
        if second != self._second:
            self._second, self._left = second, self._per_s
        if not self._left:
            return False
        self._left -= 1
        return True
