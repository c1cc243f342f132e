"""R08: random histories of the breaker are those of a model that keeps everything and computes the slow way."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from bridge.adapters.breaker_pybreaker import PybreakerState
from bridge.domain.breaker import Breaker, BreakerPolicy, Mode, Permit, State
from bridge.domain.outcome import Verdict

# Small numbers reach every corner within 50 steps.
POLICY = BreakerPolicy(
    window_calls=8, min_calls=4, consecutive_failures=3, probes=2, open_s=1.0, open_max_s=4.0, jitter_share=0.2
)


@dataclass
class Model:
    """The rules as the design states them, over the whole history."""

    state: str = "closed"
    mode: Mode = Mode.AUTO
    era: int = 0
    ended: list[tuple[float, bool, bool]] = field(default_factory=list)
    probing: dict[int, float] = field(default_factory=dict)
    passed: int = 0
    first_probe: float | None = None
    failed_opens: int = 0
    open_until: float = 0.0
    given: int = 0

    def acquire(self, now: float, jitter: float) -> int | None:
        if self.state == "open" and self.mode is Mode.AUTO and now >= self.open_until:
            self.enter("half-open")
        if self.state == "half-open":
            if any(now - start > POLICY.probe_s for start in self.probing.values()):
                self.open(now, jitter, failed=True)
            elif self.first_probe is not None and not self.passed and now - self.first_probe > POLICY.half_open_s:
                self.open(now, jitter, failed=False)
        if self.state == "open" or (self.state == "half-open" and len(self.probing) == POLICY.probes):
            return None
        self.given += 1
        if self.state == "half-open":
            self.probing[self.given] = now
            self.first_probe = now if self.first_probe is None else self.first_probe
        return self.given

    def record(self, number: int, era: int, start: float, verdict: Verdict, now: float, jitter: float) -> None:
        if era != self.era or self.mode is not Mode.AUTO:
            return
        self.probing.pop(number, None)
        bad, slow = verdict is Verdict.FAILURE, now - start > POLICY.slow_s
        if verdict is Verdict.IGNORED:
            return
        if self.state == "closed":
            self.ended.append((now, bad, slow))
            if self.tripped(now):
                self.open(now, jitter, failed=False)
        elif bad or slow:
            self.open(now, jitter, failed=True)
        else:
            self.passed += 1
            if self.passed == POLICY.probes:
                self.failed_opens = 0
                self.enter("closed")

    def tripped(self, now: float) -> bool:
        if len(self.ended) >= 3 and all(bad for _, bad, _ in self.ended[-3:]):
            return True
        judged = [call for call in self.ended[-POLICY.window_calls :] if call[0] > now - POLICY.window_s]
        shares = (sum(bad for _, bad, _ in judged), sum(slow for _, _, slow in judged))
        return len(judged) >= POLICY.min_calls and any(share * 2 >= len(judged) for share in shares)

    def open(self, now: float, jitter: float, *, failed: bool) -> None:
        self.failed_opens += failed
        self.open_until = now + min(4.0, 2.0**self.failed_opens) * (1 + 0.2 * (2 * jitter - 1))
        self.enter("open")

    def force(self, mode: Mode) -> None:
        if mode is self.mode:
            return
        held_open = self.mode is Mode.OPEN
        self.mode, self.failed_opens = mode, 0
        if mode is Mode.AUTO:
            self.enter("half-open" if held_open else "closed")
        else:
            self.enter(mode.value)

    def enter(self, state: str) -> None:
        self.state, self.era = state, self.era + 1
        self.ended, self.probing, self.passed, self.first_probe = [], {}, 0, None


class BreakerHistories(RuleBasedStateMachine):
    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.model = Model()
        self.breaker = Breaker(POLICY, PybreakerState("scorer", lambda _old, _new: None))

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.2, 0.9, 1.1, 2.5, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=permits, jitter=st.sampled_from([0.0, 0.5, 0.99]), count=st.integers(1, 4))
    def acquire(self, jitter: float, count: int) -> object:
        given = []
        for _ in range(count):
            permit = self.breaker.acquire(self.now, jitter)
            expected = self.model.acquire(self.now, jitter)
            assert (permit and permit.number) == expected
            given += [(permit, self.model.era)] if permit else []
        return multiple(*given)

    @rule(given=consumes(permits), verdict=st.sampled_from(Verdict), jitter=st.sampled_from([0.0, 0.5, 0.99]))
    def record(self, given: tuple[Permit, int], verdict: Verdict, jitter: float) -> None:
        permit, era = given
        self.breaker.record(permit, verdict, self.now, jitter)
        self.model.record(permit.number, era, permit.start, verdict, self.now, jitter)

    @rule()
    def returned(self) -> None:
        self.breaker.returned()
        self.model.failed_opens = 0
        if self.model.state == "open" and self.model.mode is Mode.AUTO:
            self.model.enter("half-open")

    @rule(mode=st.sampled_from(Mode))
    def force(self, mode: Mode) -> None:
        self.breaker.force(mode)
        self.model.force(mode)

    @invariant()
    def same_state(self) -> None:
        assert self.breaker.state is State(self.model.state)
        assert self.breaker.mode is self.model.mode

    @invariant()
    def probes_are_bounded(self) -> None:
        assert len(self.model.probing) <= POLICY.probes


class TestBreakerHistories(BreakerHistories.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=150, stateful_step_count=50)


@pytest.mark.long
class TestManyBreakerHistories(BreakerHistories.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=10_000, stateful_step_count=50)
