"""When a second attempt is sent before the first has failed ("The Tail at Scale", Dean and Barroso 2013)."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HedgePolicy:
    """How attempts are hedged.

    Args:
        enabled: Whether they are at all.
        share: An attempt that takes longer than this share of the last ones is hedged, 0 to 1.
        window: How many past answers are judged.
        min_answers: With fewer answers than this nothing is known, and nothing is hedged.
    """

    enabled: bool = False
    share: float = 0.95
    window: int = 200
    min_answers: int = 20


class AnswerTimes:
    """How long the last answers took.

    The percentile is worked out anew once in `min_answers` answers, so that knowing it costs nothing.

    Args:
        policy: How many are kept, and which percentile is wanted.
    """

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._times_s: deque[float] = deque(maxlen=policy.window)
        self._added = 0
        self._percentile_s: float | None = None

    @property
    def percentile_s(self) -> float | None:
        """The wanted percentile, in seconds; None while too little is known."""
        return self._percentile_s

    def add(self, elapsed_s: float) -> None:
        """Takes the time of one answer."""
        self._times_s.append(elapsed_s)
        self._added += 1
        if self._added % self._policy.min_answers == 0:
            in_order = sorted(self._times_s)
            self._percentile_s = in_order[min(len(in_order) - 1, int(len(in_order) * self._policy.share))]
