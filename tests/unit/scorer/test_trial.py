"""Who is in a trial, and how far two rankings agree."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from scorer.domain.trial import is_tried_on, overlap

USERS = [f"u{number}" for number in range(20_000)]
SHARES = (0.01, 0.05, 0.1, 0.5, 0.9)


def tried_on(model_version: str, share: float) -> set[str]:
    return {user_id for user_id in USERS if is_tried_on(user_id, model_version, share)}


@pytest.mark.parametrize("model_version", ["m1", "20260101T020000123-ab12"])
@pytest.mark.parametrize("share", SHARES)
def test_each_user_has_the_same_chance(model_version: str, share: float) -> None:
    """Within five standard deviations of the binomial distribution, as a whole and among any users."""
    chosen = tried_on(model_version, share)
    for some in (USERS, USERS[::2], USERS[: len(USERS) // 4]):
        deviation = (len(some) * share * (1 - share)) ** 0.5
        assert abs(len(chosen.intersection(some)) - len(some) * share) < 5 * deviation


def test_nobody_and_everybody_can_be_chosen() -> None:
    assert tried_on("m1", 0.0) == set()
    assert tried_on("m1", 1.0) == set(USERS)


def test_a_larger_share_keeps_those_who_were_in() -> None:
    for smaller, larger in pairwise(SHARES):
        assert tried_on("m1", smaller) < tried_on("m1", larger)


def test_the_next_candidate_is_tried_on_other_users() -> None:
    """Two shares of a half that know nothing of each other have a quarter of the users in common."""
    both = tried_on("m1", 0.5) & tried_on("m2", 0.5)
    assert len(both) == pytest.approx(len(USERS) / 4, rel=0.05)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("abc", "abc", 1.0, id="equal"),
        pytest.param("abc", "cab", 1.0, id="in another order"),
        pytest.param("abc", "xyz", 0.0, id="nothing in common"),
        pytest.param("abcde", "abxyz", 2 / 3, id="what is deeper does not count"),
        pytest.param("ab", "abc", 2 / 3, id="a shorter one"),
        pytest.param("", "abc", 0.0, id="an empty one"),
    ],
)
def test_overlap_is_the_share_of_common_videos(first: Sequence[str], second: Sequence[str], expected: float) -> None:
    assert overlap(first, second, 3) == expected
    assert overlap(second, first, 3) == expected
