"""One log line a second for each reason; the rest are counted."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.throttle import Throttle


def test_what_is_held_back_is_counted_on_the_next_line() -> None:
    throttle: Throttle[int] = Throttle(interval_s=1.0)
    admitted = [throttle.admit("a", number, now) for number, now in enumerate((0.0, 0.1, 0.9, 1.0, 1.5, 5.0))]
    assert admitted == [0, None, None, 2, None, 1]


def test_keys_do_not_hold_each_other_back() -> None:
    throttle: Throttle[int] = Throttle(interval_s=1.0)
    assert [throttle.admit("a", 1, 0.0), throttle.admit("b", 2, 0.0), throttle.admit("a", 3, 0.5)] == [0, 0, None]


def test_what_no_line_follows_is_let_through_after_an_interval() -> None:
    throttle: Throttle[str] = Throttle(interval_s=1.0)
    for item, now in (("first", 0.0), ("second", 0.2), ("third", 0.4)):
        throttle.admit("a", item, now)
    assert throttle.overdue(0.9) == []
    assert throttle.overdue(1.0) == [("third", 1)]  # itself, and it stands for the second
    assert throttle.overdue(9.0) == []
    assert throttle.admit("a", "fourth", 1.5) is None  # that was a line too
    assert throttle.admit("a", "fifth", 2.0) == 1


def test_at_the_end_the_rest_is_let_through() -> None:
    throttle: Throttle[str] = Throttle(interval_s=1.0)
    for key, item in (("a", "a1"), ("a", "a2"), ("b", "b1")):
        throttle.admit(key, item, 0.0)
    assert throttle.rest(0.1) == [("a2", 0)]
    assert throttle.rest(0.1) == []


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3), st.booleans()), max_size=40))
def test_nothing_is_lost(steps: list[tuple[str, float, bool]]) -> None:
    """Issue 4: at most one line a second and reason, counted, not lost."""
    throttle: Throttle[str] = Throttle(interval_s=1.0)
    now, told = 0.0, 0
    for key, pause_s, flush in steps:
        now += pause_s
        held = throttle.admit(key, key, now)
        told += 0 if held is None else 1 + held
        told += sum(1 + count for _, count in throttle.overdue(now)) if flush else 0
    told += sum(1 + count for _, count in throttle.rest(now))
    assert told == len(steps)
