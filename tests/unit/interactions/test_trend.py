"""What interactions make trend, and what a view that is told again adds."""

import random
from datetime import UTC, datetime

import pytest

from interactions.domain.event import InteractionType
from interactions.domain.trend import View, Watched, added_weight, hour_of, view_of
from interactions.domain.weights import trending_weight

VIEW, LIKE = InteractionType.VIEW, InteractionType.LIKE
ONE = View("u1", "v1", "s1")


@pytest.mark.parametrize(
    ("told_s", "duration_s", "weights"),
    [
        pytest.param([5.0], 10.0, [0.05], id="once"),
        pytest.param([2.0, 5.0, 10.0], 10.0, [0.02, 0.03, 0.05], id="each adds what it is longer"),
        pytest.param([5.0, 5.0], 10.0, [0.05, 0.0], id="as long adds nothing"),
        pytest.param([5.0, 3.0, 6.0], 10.0, [0.05, 0.0, 0.01], id="a shorter one adds nothing and takes nothing"),
        pytest.param([8.0, 20.0, 90.0], 10.0, [0.08, 0.02, 0.0], id="no more than the whole video"),
        pytest.param([0.0, 4.0, 9.0], None, [0.0, 0.1, 0.0], id="of unknown length: once it lasted"),
    ],
)
def test_views_told_again_merge_as_a_maximum(
    told_s: list[float], duration_s: float | None, weights: list[float]
) -> None:
    """Design part 5: watch time of repeated VIEWs of one (user, video, session) merges as a maximum, never a sum."""
    watched = Watched()

    assert [added_weight(VIEW, ONE, each, duration_s, watched) for each in told_s] == pytest.approx(weights)


def test_in_any_order_they_add_up_to_the_longest() -> None:
    chance = random.Random(1)
    for _ in range(200):
        told_s = [chance.uniform(0, 15) for _ in range(chance.randint(1, 8))]
        watched = Watched()

        total = sum(added_weight(VIEW, ONE, each, 10.0, watched) for each in told_s)

        assert total == pytest.approx(trending_weight(VIEW, max(told_s), 10.0))


def test_what_was_told_before_counts_with_it() -> None:
    watched = Watched({ONE: 4.0})

    assert added_weight(VIEW, ONE, 6.0, 10.0, watched) == pytest.approx(0.02)


@pytest.mark.parametrize("other", [View("u2", "v1", "s1"), View("u1", "v2", "s1"), View("u1", "v1", "s2")])
def test_another_user_video_or_session_is_another_view(other: View) -> None:
    watched = Watched({ONE: 10.0})

    assert added_weight(VIEW, other, 10.0, 10.0, watched) == pytest.approx(0.1)


def test_only_views_with_a_session_are_told_again() -> None:
    assert view_of(VIEW, "u1", "v1", "s1") == ONE
    assert view_of(VIEW, "u1", "v1", "") is None
    assert view_of(VIEW, "u1", "v1", None) is None
    assert view_of(LIKE, "u1", "v1", "s1") is None
    assert [added_weight(LIKE, None, 0.0, 10.0, Watched()) for _ in range(2)] == [0.7, 0.7]


def test_a_bucket_is_an_hour() -> None:
    assert hour_of(datetime(2025, 9, 1, 12, 34, 56, 789, tzinfo=UTC)) == datetime(2025, 9, 1, 12, tzinfo=UTC)
