"""Intervals by bootstrap."""

import numpy as np
import pytest

from trainer.domain.bootstrap import Interval, draw

SEED = 7


def column(values: np.ndarray) -> np.ndarray:
    """A table of one figure."""
    return values[:, None].astype(np.float64)


def test_an_interval_is_about_two_standard_errors_to_each_side() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    (found,) = draw({"a": column(values)}, SEED).intervals("a")
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(error, rel=0.1)
    assert found.mean - found.low == pytest.approx(error, rel=0.1)


def test_intervals_of_noise_hold_zero_as_often_as_they_say() -> None:
    """Of 200 figures of noise about a twentieth differs from 0 beyond noise."""
    found = draw({"noise": np.random.default_rng(3).normal(size=(300, 200))}, SEED).intervals("noise")
    assert 1 <= sum(each.is_above_zero or each.is_below_zero for each in found) <= 25


def test_leads_are_paired() -> None:
    """Users differ by far more than the two tables do: apart nobody can tell them, together it is plain."""
    rng = np.random.default_rng(5)
    users = rng.normal(0.0, 10.0, 500)
    better = users + 0.1 + rng.normal(0.0, 0.01, 500)
    draws = draw({"users": column(users), "better": column(better)}, SEED)
    assert draws.intervals("better")[0].low < draws.intervals("users")[0].high
    (lead,) = draws.leads("better", "users")
    assert lead.is_above_zero
    assert lead.mean == pytest.approx(np.mean(better - users))
    assert draws.leads("users", "better")[0].is_below_zero


def test_users_who_do_not_count_are_left_out() -> None:
    some = np.array([[1.0, 10.0], [np.nan, np.nan], [3.0, 30.0], [np.nan, np.nan]] * 50)
    draws = draw({"some": some, "all": np.ones((200, 1))}, SEED)
    first, second = draws.intervals("some")
    assert (first.mean, second.mean) == (2.0, 20.0)
    assert 1.0 < first.low < 2.0 < first.high < 3.0
    assert (second.low, second.high) == pytest.approx((10 * first.low, 10 * first.high))
    assert draws.intervals("all") == [Interval(1.0, 1.0, 1.0)]


def test_a_draw_without_a_user_who_counts_says_nothing() -> None:
    one = column(np.array([4.0, *[np.nan] * 20]))
    assert draw({"one": one}, SEED).intervals("one") == [Interval(4.0, 4.0, 4.0)]


def test_a_seed_gives_the_same_intervals() -> None:
    values = {"a": column(np.arange(50.0))}
    first, again, other = (draw(values, seed).intervals("a") for seed in (SEED, SEED, SEED + 1))
    assert first == again != other
