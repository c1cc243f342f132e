"""How many requests may ask scorers at a time: fewer while answers are slow, more while they are not."""

from dataclasses import dataclass

from bridge.domain.outcome import Verdict


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """When the limit moves. The numbers were chosen by simulation (docs/decisions/0011).

    Args:
        minimum: The limit never falls below it: so many go on asking that better times are noticed.
        maximum: It never rises above it, and starts there.
        slow_s: An answer that took longer is slow, in seconds: a little less than an attempt may take, so that the
            limit falls before attempts time out.
        window_s: Answers are judged together after this time, in seconds, ...
        window_calls: ... and not before there are so many: the few probes of a long outage prove little.
    """

    minimum: int = 8
    maximum: int = 256
    slow_s: float = 0.045
    window_s: float = 0.1
    window_calls: int = 10


class AdaptiveLimit:
    """Permits for requests that ask scorers; who gets none is not queued.

    Each window raises the limit by its square root in proportion to the quick answers, and lowers it by half in
    proportion to the slow ones (the decrease is that of DCTCP, RFC 8257). So a stall that makes some answers slow costs
    little, a scorer that makes all of them slow halves the limit every window, and between them lies a share of slow
    answers at which it stays: a fifth at a limit of 64.

    Args:
        policy: When it moves.
        now: The present, in monotonic seconds.
    """

    def __init__(self, policy: LimitPolicy, now: float) -> None:
        self._policy = policy
        self._limit = float(policy.maximum)
        self._in_flight = 0
        self._since = now
        self._calls = 0
        self._slow = 0

    @property
    def limit(self) -> int:
        """Requests that may ask at a time."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """Requests that are asking."""
        return self._in_flight

    def acquire(self) -> bool:
        """Takes a permit, if there is one; give it back with `release`."""
        if self._in_flight >= self.limit:
            return False
        self._in_flight += 1
        return True

    def release(self, start: float, now: float, verdict: Verdict, *, refused: bool = False) -> None:
        """Gives a permit back.

        Args:
            start: When it was taken, in monotonic seconds.
            now: The present, in monotonic seconds.
            verdict: How the asking ended. A failure counts only when it was slow: a refused connection says nothing
                about load.
            refused: Whether a scorer said that it has too much to do; counts as slow, however quick it was.
        """
        self._in_flight -= 1
        slow = refused or now - start > self._policy.slow_s
        if slow and (refused or verdict is not Verdict.IGNORED):
            self._slow += 1
            self._calls += 1
        elif verdict is Verdict.SUCCESS:
            self._calls += 1
        if self._calls >= self._policy.window_calls and now - self._since >= self._policy.window_s:
            self._judge(now)

    def _judge(self, now: float) -> None:
        share = self._slow / self._calls
        moved = self._limit + self._limit**0.5 * (1 - share) - self._limit * share / 2
        self._limit = min(max(moved, float(self._policy.minimum)), float(self._policy.maximum))
        self._since = now
        self._calls = self._slow = 0
