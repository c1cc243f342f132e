"""Intervals and alarms that hold however often they are looked at (issue 8, item 5)."""

import numpy as np
import pytest

from insights.domain.statistics import Rate, Sums, difference, mismatch, rate_of

TRIALS, LOOKS, USERS_A_LOOK = 200, 30, 400
Z = 1.96


def sums_of(likes: np.ndarray, shown: np.ndarray) -> Sums:
    """Adds up users' likes and videos shown."""
    return Sums(
        len(likes),
        float(likes.sum()),
        float(shown.sum()),
        float((likes * likes).sum()),
        float((shown * shown).sum()),
        float((likes * shown).sum()),
    )


def users(lot: np.random.Generator, count: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Likes and videos shown of users, some of whom scroll much more than others, and some of whom like more."""
    shown = 20 * (1 + lot.geometric(0.3, count))
    return lot.binomial(shown, np.clip(lot.normal(rate, rate / 3, count), 0, 1)).astype(float), shown.astype(float)


def looks(lot: np.random.Generator, control: float, variant: float) -> list[tuple[Rate, Rate]]:
    """The rates of two variants, as they are seen again and again while users come."""
    arms = [users(lot, LOOKS * USERS_A_LOOK, rate) for rate in (control, variant)]
    found = []
    for number in range(1, LOOKS + 1):
        seen = number * USERS_A_LOOK
        one, other = (rate_of(sums_of(likes[:seen], shown[:seen])) for likes, shown in arms)
        assert one is not None
        assert other is not None
        found.append((one, other))
    return found


def test_a_rate_and_its_variance_are_those_of_many_draws() -> None:
    lot = np.random.default_rng(1)
    rates = [rate_of(sums_of(*users(lot, 500, 0.05))) for _ in range(2_000)]
    values = [rate.value for rate in rates if rate]
    expected = float(np.mean([rate.variance for rate in rates if rate]))
    assert np.mean(values) == pytest.approx(0.05, rel=0.01)
    assert np.var(values) == pytest.approx(expected, rel=0.1)


def test_equal_variants_are_found_equal_however_often_one_looks() -> None:
    """At most in 5 of 100 experiments a look ever finds a difference; an ordinary interval finds one in far more."""
    lot = np.random.default_rng(2)
    wrong = ordinary = 0
    for _ in range(TRIALS):
        seen = looks(lot, 0.05, 0.05)
        wrong += any(difference(*rates).is_known for rates in seen)
        ordinary += any(abs(b.value - a.value) > Z * (a.variance + b.variance) ** 0.5 for a, b in seen)
    assert wrong <= 0.05 * TRIALS
    assert ordinary > 0.15 * TRIALS


def test_a_tenth_more_is_found_and_the_interval_holds_it() -> None:
    lot = np.random.default_rng(3)
    seen = [looks(lot, 0.05, 0.055) for _ in range(50)]
    last = [difference(*rates[-1]) for rates in seen]
    assert all(each.is_known and each.value > 0 for each in last)
    assert np.mean([each.relative for each in last]) == pytest.approx(0.1, abs=0.01)
    found = [difference(*rates) for looked in seen for rates in looked]
    missed = sum(not each.low <= 0.005 <= each.high for each in found)
    assert missed <= 0.05 * len(found)


def test_what_is_known_of_too_few_is_not_told() -> None:
    assert rate_of(Sums(1, 1.0, 20.0, 1.0, 400.0, 20.0)) is None
    assert rate_of(Sums(5, 0.0, 0.0, 0.0, 0.0, 0.0)) is None
    nothing = rate_of(Sums(5, 0.0, 100.0, 0.0, 2_000.0, 0.0))
    assert nothing == Rate(0.0, 0.0, 5)
    assert difference(nothing, Rate(0.1, 0.0001, 5)).relative is None


def test_users_drawn_by_the_weights_raise_no_alarm() -> None:
    lot = np.random.default_rng(4)
    weights = [1.0, 1.0, 2.0]
    drawn = lot.choice(3, (TRIALS, 20_000), p=[0.25, 0.25, 0.5])
    alarms = 0
    for trial in drawn:
        seen = np.cumsum(np.eye(3, dtype=int)[trial], axis=0)[499::500]
        alarms += any(mismatch(counts.tolist(), weights) <= 0.05 for counts in seen)
    assert alarms <= 0.05 * TRIALS


@pytest.mark.parametrize("count", [10_000, 100_000, 1_000_000])
def test_users_who_are_missing_raise_the_alarm(count: int) -> None:
    """A variant that loses its users, say to errors, looks better than it is: those who are left had none."""
    assert mismatch([count, round(0.9 * count)], [1, 1]) < 0.001
    assert mismatch([count, count], [1, 1]) > 0.999
