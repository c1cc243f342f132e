"""How much time a request and its attempts get (design part 4)."""

import pytest

from bridge.domain.deadline import DeadlinePolicy, attempt_timeout_s, deadline

POLICY = DeadlinePolicy(total_s=0.150, attempt_s=0.060, reserve_s=0.010, minimum_s=0.015)


@pytest.mark.parametrize(
    ("caller_remaining_s", "expected"),
    [
        pytest.param(None, 10.150, id="no-deadline-of-the-caller"),
        pytest.param(5.0, 10.150, id="a-later-one-does-not-extend-ours"),
        pytest.param(0.080, 10.080, id="an-earlier-one-counts"),
        pytest.param(0.0, 10.0, id="nothing-left"),
        pytest.param(-0.5, 10.0, id="already-past"),
    ],
)
def test_the_deadline_is_the_earlier_of_ours_and_the_callers(caller_remaining_s: float | None, expected: float) -> None:
    assert deadline(POLICY, 10.0, caller_remaining_s) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [
        pytest.param(0.150, 0.060, id="at-most-the-attempt-timeout"),
        pytest.param(0.070, 0.060, id="exactly-enough-for-a-whole-attempt"),
        pytest.param(0.050, 0.040, id="what-is-left-less-the-reserve"),
        pytest.param(0.0251, 0.0151, id="just-above-the-minimum"),
        pytest.param(0.024, None, id="less-than-the-minimum"),
        pytest.param(0.010, None, id="only-the-reserve"),
        pytest.param(-1.0, None, id="late-already"),
    ],
)
def test_an_attempt_never_eats_the_fallback_reserve(left_s: float, expected: float | None) -> None:
    timeout_s = attempt_timeout_s(POLICY, 10.0, 10.0 + left_s)
    assert timeout_s == (None if expected is None else pytest.approx(expected))
