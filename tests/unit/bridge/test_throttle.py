"""One log line a second for each reason; the rest are counted."""

from bridge.domain.throttle import Throttle


def test_what_is_held_back_is_counted_on_the_next_line() -> None:
    throttle = Throttle(interval_s=1.0)
    admitted = [throttle.admit("a", now) for now in (0.0, 0.1, 0.9, 1.0, 1.5, 5.0)]
    assert admitted == [0, None, None, 2, None, 1]


def test_keys_do_not_hold_each_other_back() -> None:
    throttle = Throttle(interval_s=1.0)
    assert [throttle.admit("a", 0.0), throttle.admit("b", 0.0), throttle.admit("a", 0.5)] == [0, 0, None]
