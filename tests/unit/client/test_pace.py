"""How long a service that fails is left alone."""

import math

import pytest

from interactions.client.pace import LONGEST_HINT_S, Pace

ALMOST = 1 - 1e-12


def pace() -> Pace:
    return Pace(first_s=0.5, longest_s=30.0)


def test_waits_double_up_to_a_bound_with_full_jitter() -> None:
    """AWS Architecture Blog, 2015: sleep = random between 0 and min(cap, base * 2 ** attempt)."""
    patient, lucky = pace(), pace()
    waits = []
    for _ in range(9):
        patient.failed(100.0, ALMOST, None)
        lucky.failed(100.0, 0.0, None)
        waits.append(round(patient.opens_at_s - 100.0, 6))

    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert lucky.opens_at_s == 100.0


def test_thousands_of_failures_do_not_overflow() -> None:
    tried = pace()
    for _ in range(5_000):
        tried.failed(0.0, ALMOST, None)
    assert tried.opens_at_s <= 30.0


@pytest.mark.parametrize(
    ("hint_s", "earliest_s"),
    [
        pytest.param(None, 0.0, id="no hint"),
        pytest.param(5.0, 5.0, id="a hint"),
        pytest.param(1e9, LONGEST_HINT_S, id="a hint that nobody means"),
    ],
)
def test_a_hint_of_the_service_comes_first_and_jitter_on_top(hint_s: float | None, earliest_s: float) -> None:
    tried = pace()
    tried.failed(10.0, 0.5, hint_s)
    assert tried.opens_at_s == 10.0 + earliest_s + 0.25


def test_a_flush_skips_the_backoff_but_not_the_hint() -> None:
    tried = pace()
    tried.failed(10.0, 0.5, 5.0)
    tried.hurry()
    assert tried.opens_at_s == 15.0


def test_one_success_ends_it() -> None:
    tried = pace()
    for _ in range(6):
        tried.failed(10.0, 0.5, 5.0)
    tried.succeeded()
    assert (tried.opens_at_s, tried.failures) == (-math.inf, 0)

    tried.failed(20.0, ALMOST, None)
    assert tried.opens_at_s == pytest.approx(20.5)
