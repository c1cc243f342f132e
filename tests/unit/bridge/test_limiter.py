"""The adaptive limit: what moves it, and what it does for a scorer that has too much to do, in virtual time."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.limiter import AdaptiveLimit, LimitPolicy
from bridge.domain.outcome import Verdict
from tests.unit.bridge.overloaded_scorer import BatchingServer, Second, simulate

POLICY = LimitPolicy()
QUICK_S, SLOW_S = 0.005, 0.055


def answer(limit: AdaptiveLimit, now: float, took_s: float, verdict: Verdict = Verdict.SUCCESS) -> None:
    assert limit.acquire()
    limit.release(now - took_s, now, verdict)


def window(limit: AdaptiveLimit, start: float, *, slow: int, quick: int) -> float:
    """One window of answers; returns the time at its end."""
    times = [SLOW_S] * slow + [QUICK_S] * quick
    for place, took_s in enumerate(times, start=1):
        answer(limit, start + POLICY.window_s * place / len(times), took_s)
    return start + POLICY.window_s


@pytest.mark.parametrize(
    ("slow", "quick", "expected"),
    [
        pytest.param(20, 0, 128, id="all-slow-halves-it"),
        pytest.param(10, 10, 200, id="half-slow-takes-a-quarter-and-gives-half-a-step"),
        pytest.param(0, 20, 256, id="quick-answers-raise-it-to-the-maximum-at-most"),
        pytest.param(9, 0, 256, id="too-few-to-judge"),
    ],
)
def test_what_a_window_of_answers_does(slow: int, quick: int, expected: int) -> None:
    limit = AdaptiveLimit(POLICY, 0.0)
    window(limit, 0.0, slow=slow, quick=quick)
    assert limit.limit == expected


@pytest.mark.parametrize(
    ("verdict", "took_s", "refused", "expected"),
    [
        pytest.param(Verdict.FAILURE, SLOW_S, False, 128, id="timeouts-lower-it"),
        pytest.param(Verdict.FAILURE, QUICK_S, False, 256, id="a-refused-connection-says-nothing-of-load"),
        pytest.param(Verdict.IGNORED, SLOW_S, False, 256, id="callers-who-leave-say-nothing"),
        pytest.param(Verdict.IGNORED, QUICK_S, True, 128, id="a-scorer-that-says-too-much-is-believed"),
    ],
)
def test_what_counts_as_slow(verdict: Verdict, took_s: float, refused: bool, expected: int) -> None:
    limit = AdaptiveLimit(POLICY, 0.0)
    for place in range(20):
        assert limit.acquire()
        now = 0.01 * (place + 1)
        limit.release(now - took_s, now, verdict, refused=refused)
        if now >= POLICY.window_s:
            break
    assert limit.limit == expected


def test_nobody_is_queued_beyond_the_limit() -> None:
    limit = AdaptiveLimit(LimitPolicy(minimum=2, maximum=3), 0.0)
    assert [limit.acquire() for _ in range(5)] == [True, True, True, False, False]
    limit.release(0.0, 0.01, Verdict.IGNORED)
    assert [limit.acquire() for _ in range(2)] == [True, False]


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 19))
def test_more_slow_answers_never_leave_a_higher_limit(windows: int, slow: int, fewer: int) -> None:
    """Monotone: of two equal histories the one with more slow answers ends at the same limit or a lower one."""
    limits = []
    for count in (slow, min(slow, fewer)):
        limit, now = AdaptiveLimit(POLICY, 0.0), 0.0
        for _ in range(windows):
            now = window(limit, now, slow=count, quick=20 - count)
        limits.append(limit.limit)
    assert limits[0] <= limits[1]


def goodput(seconds: Sequence[Second]) -> float:
    """Answers a second."""
    return sum(each.answered for each in seconds) / len(seconds)


def test_at_four_times_capacity_the_scorer_does_useful_work_and_is_calm_within_five_seconds() -> None:
    """R10: shed early, goodput >= 90 % of capacity; normal within 5 s. Without a limit nearly all time out."""
    server = BatchingServer(base_s=0.002, each_s=0.0004)
    seconds = simulate(AdaptiveLimit(POLICY, 0.0), server, lambda now: 4 * server.capacity if now < 10 else 1_000, 16)
    assert goodput(seconds[3:10]) >= 0.9 * server.capacity
    assert sum(each.timed_out for each in seconds[3:10]) <= 0.02 * sum(each.answered for each in seconds[3:10])
    assert [each.shed for each in seconds[15:]] == [0]


def test_without_a_limit_nearly_all_of_them_would_time_out() -> None:
    """The simulation can fail: the scorer answers, but too late."""
    server = BatchingServer(base_s=0.002, each_s=0.0004)
    none = AdaptiveLimit(LimitPolicy(minimum=10_000, maximum=10_000), 0.0)
    seconds = simulate(none, server, lambda _now: 4 * server.capacity, 5)
    assert goodput(seconds[2:]) < 0.1 * server.capacity


@pytest.mark.parametrize("callers", [16, 64])
def test_healthy_callers_are_never_shed(callers: int) -> None:
    """Batching makes answers slower the more callers share one: by design, and no reason to shed."""
    server = BatchingServer(base_s=0.002, each_s=0.0004)
    seconds = simulate(AdaptiveLimit(POLICY, 0.0), server, callers, 5)
    assert [each.shed for each in seconds] == [0] * len(seconds)
    assert goodput(seconds) > 1_000


def test_after_an_outage_of_half_a_minute_it_lets_all_through_within_five_seconds() -> None:
    """While every attempt times out the limit falls to its minimum; the first quick answers raise it again."""
    server = BatchingServer(base_s=0.002, each_s=0.0004, healthy=lambda now: not 5 <= now < 35)
    limit = AdaptiveLimit(POLICY, 0.0)
    seconds = simulate(limit, server, lambda _now: 300.0, 41)
    assert seconds[34].limit == POLICY.minimum
    assert [each.shed for each in seconds[40:]] == [0]
    assert limit.limit >= 128
