"""R08: random histories of the adaptive limit are those of a model that keeps every answer and judges afterwards."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from bridge.domain.limiter import AdaptiveLimit, LimitPolicy
from bridge.domain.outcome import Verdict

# Small numbers reach every corner within 50 steps.
POLICY = LimitPolicy(minimum=2, maximum=16, slow_s=0.045, window_s=0.1, window_calls=3)


@dataclass
class Model:
    """The rules as the policy states them."""

    limit: float = 16.0
    out: int = 0
    window_start: float = 100.0
    window: list[bool] = field(default_factory=list)

    def release(self, took_s: float, now: float, verdict: Verdict, *, refused: bool) -> None:
        self.out -= 1
        slow = took_s > POLICY.slow_s
        if refused:
            self.window.append(True)
        elif verdict is Verdict.SUCCESS or (verdict is Verdict.FAILURE and slow):
            self.window.append(slow)
        if len(self.window) < POLICY.window_calls or now - self.window_start < POLICY.window_s:
            return
        slow_share = self.window.count(True) / len(self.window)
        raised, lowered = self.limit**0.5 * (1 - slow_share), self.limit * slow_share / 2
        self.limit = max(2.0, min(16.0, self.limit + raised - lowered))
        self.window_start, self.window = now, []


class LimitHistories(RuleBasedStateMachine):
    starts = Bundle("starts")

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.model = Model()
        self.limit = AdaptiveLimit(POLICY, self.now)

    @rule(seconds=st.sampled_from([0.01, 0.04, 0.06, 0.2]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=starts, count=st.integers(1, 6))
    def acquire(self, count: int) -> object:
        given = []
        for _ in range(count):
            allowed = self.model.out < int(self.model.limit)
            assert self.limit.acquire() is allowed
            self.model.out += allowed
            given += [self.now] if allowed else []
        return multiple(*given)

    @rule(start=consumes(starts), verdict=st.sampled_from(Verdict), refused=st.booleans())
    def release(self, start: float, verdict: Verdict, refused: bool) -> None:
        before = self.limit.limit
        self.limit.release(start, self.now, verdict, refused=refused)
        self.model.release(self.now - start, self.now, verdict, refused=refused)
        # One answer never moves it further than one window may.
        assert before / 2 - 1 <= self.limit.limit <= before + before**0.5 + 2

    @invariant()
    def same_limit(self) -> None:
        assert self.limit.limit == int(self.model.limit)

    @invariant()
    def no_permit_is_lost(self) -> None:
        assert self.limit.in_flight == self.model.out

    @invariant()
    def within_its_bounds(self) -> None:
        assert POLICY.minimum <= self.limit.limit <= POLICY.maximum
        assert self.limit.in_flight <= POLICY.maximum


class TestLimitHistories(LimitHistories.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=100, stateful_step_count=50)


@pytest.mark.long
class TestManyLimitHistories(LimitHistories.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=10_000, stateful_step_count=50)
