"""What is remembered of recent ids, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from interactions.domain.recent_ids import RecentIds


def test_the_newest_half_is_remembered_and_never_more_than_the_limit() -> None:
    ids = RecentIds[int](limit=10)
    for number in range(100):
        ids.put(str(number), number, now_s=0.0)
        assert len(ids) <= 10
    assert [ids.get(str(number)) for number in range(95, 100)] == [95, 96, 97, 98, 99]
    assert ids.get("89") is None


def test_an_id_is_remembered_for_half_the_time_and_forgotten_after_all_of_it() -> None:
    ids = RecentIds[str](limit=1_000, max_age_s=10.0)
    ids.put("a", "first", now_s=0.0)
    ids.put("b", "second", now_s=5.0)
    assert ids.get("a") == "first"
    ids.put("c", "third", now_s=10.0)
    assert (ids.get("a"), ids.get("b"), ids.get("c")) == (None, "second", "third")


def test_after_a_long_silence_all_are_old() -> None:
    ids = RecentIds[str](limit=1_000, max_age_s=10.0)
    ids.put("a", "first", now_s=0.0)
    ids.put("b", "second", now_s=60.0)
    assert (ids.get("a"), len(ids)) == (None, 1)


def test_what_is_forgotten_is_new() -> None:
    ids = RecentIds[str](limit=4)
    for event_id in ("a", "b", "c"):
        ids.put(event_id, event_id, now_s=0.0)
    ids.forget("a")
    ids.forget("c")
    ids.forget("never there")
    assert [ids.get(event_id) for event_id in ("a", "b", "c")] == [None, "b", None]


@given(
    st.integers(2, 12),
    st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.floats(0, 5)), max_size=60),
)
def test_against_a_list_of_all_that_came(limit: int, steps: list[tuple[str, float]]) -> None:
    """What came within half the limit and half the time is known; what is older than all of it is not."""
    ids, came, now_s = RecentIds[int](limit, max_age_s=8.0), dict[str, tuple[int, float]](), 0.0
    for number, (event_id, pause_s) in enumerate(steps):
        now_s += pause_s
        if ids.get(event_id) is None:
            ids.put(event_id, number, now_s)
            came[event_id] = (number, now_s)
        newest = sorted(came.items(), key=lambda each: each[1], reverse=True)[: limit // 2]
        for known, (place, then_s) in newest:
            if now_s - then_s < 4.0:
                assert ids.get(known) == place
        assert len(ids) <= limit
