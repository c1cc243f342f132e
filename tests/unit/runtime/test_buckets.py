"""Token buckets: a steady rate, bursts, and no more memory than was said."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.limits.buckets import Buckets


class Plain:
    """A token bucket as a textbook has it: a count that grows with time."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._tokens, self._seen = float(burst), 0.0

    def takes(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._per_s)
        self._seen = now
        if self._tokens < 1 - 1e-6:
            return False
        self._tokens -= 1
        return True


@given(
    st.sampled_from([0.5, 1.0, 4.0, 8.0]),
    st.integers(1, 5),
    st.lists(st.integers(0, 64).map(lambda eighths: eighths / 64), max_size=60),
)
def test_it_lets_through_what_a_textbooks_bucket_does(per_s: float, burst: int, pauses: list[float]):
    buckets, plain = Buckets(per_s, burst, 10), Plain(per_s, burst)
    now = 0.0
    for pause in pauses:
        now += pause
        assert (buckets.take("u1", now) == 0.0) == plain.takes(now)


def test_who_waits_as_long_as_he_was_told_is_let_through_and_nobody_earlier():
    buckets = Buckets(10.0, 3, 10)
    assert [buckets.take("u1", 5.0) for _ in range(3)] == [0.0, 0.0, 0.0]

    wait_s = buckets.take("u1", 5.0)

    assert abs(wait_s - 0.1) < 1e-6
    assert buckets.take("u1", 5.0 + wait_s * 0.99) > 0
    assert buckets.take("u1", 5.0 + wait_s) == 0.0


def test_what_is_refused_costs_nothing():
    buckets = Buckets(1.0, 1, 10)
    buckets.take("u1", 0.0)
    for _ in range(1000):
        assert buckets.take("u1", 0.5) > 0
    assert buckets.take("u1", 1.0) == 0.0


def test_each_key_has_its_own():
    buckets = Buckets(1.0, 1, 10)
    assert [buckets.take(key, 0.0) for key in ("u1", "u2", "u1")] == [0.0, 0.0, 1.0]


def test_no_more_are_kept_than_the_bound_and_those_in_use_stay():
    buckets = Buckets(1.0, 2, 100)
    buckets.take("busy", 0.0)
    buckets.take("busy", 0.0)
    for number in range(1000):
        buckets.take(f"u{number}", 0.0)
        if number % 50 == 0:
            buckets.take("busy", 1e-3 * number)
    assert len(buckets) == 100
