"""Intervals by bootstrap."""

import numpy as np
import pytest

from trainer.domain.bootstrap import Interval, intervals

SEED = 7


def test_an_interval_is_about_two_standard_errors_to_each_side() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    found = intervals({"a": values}, SEED)["a"]
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(error, rel=0.1)
    assert found.mean - found.low == pytest.approx(error, rel=0.1)


def test_intervals_of_no_difference_hold_zero_as_often_as_they_say() -> None:
    """Of 200 columns of noise about a twentieth differs from 0 beyond noise."""
    noise = np.random.default_rng(3).normal(size=(300, 200))
    found = intervals(dict(enumerate(noise.T)), SEED).values()
    assert 1 <= sum(each.is_above_zero or each.is_below_zero for each in found) <= 25


def test_differences_are_paired() -> None:
    """Users differ by far more than the two columns do: apart nobody can tell them, together it is plain."""
    rng = np.random.default_rng(5)
    users = rng.normal(0.0, 10.0, 500)
    better = users + 0.1 + rng.normal(0.0, 0.01, 500)
    found = intervals({"users": users, "better": better, "lead": better - users}, SEED)
    assert found["better"].low < found["users"].high
    assert found["lead"].is_above_zero
    assert found["lead"] != found["better"]


def test_users_who_do_not_count_are_left_out() -> None:
    some = np.array([1.0, np.nan, 3.0, np.nan] * 50)
    found = intervals({"some": some, "all": np.ones(200)}, SEED)
    assert found["some"].mean == 2.0
    assert 1.0 < found["some"].low < 2.0 < found["some"].high < 3.0
    assert found["all"] == Interval(1.0, 1.0, 1.0)


def test_a_seed_gives_the_same_intervals() -> None:
    values = {"a": np.arange(50.0)}
    assert intervals(values, SEED) == intervals(values, SEED) != intervals(values, SEED + 1)


def test_nothing_has_no_intervals() -> None:
    assert intervals({}, SEED) == {}
