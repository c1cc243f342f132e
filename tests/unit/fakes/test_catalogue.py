"""Invented rankings."""

import pytest

from fakes.scorer.catalogue import rank


@pytest.mark.parametrize("videos", [1, 2, 7, 60, 1_000])
@pytest.mark.parametrize("user_id", ["u1", "u2", "somebody"])
def test_a_ranking_goes_through_the_whole_catalogue_once(videos: int, user_id: str) -> None:
    video_ids, scores = rank(user_id, videos, videos, ())
    assert sorted(video_ids) == sorted(f"v{number}" for number in range(1, videos + 1))
    assert scores == [1 / place for place in range(1, videos + 1)]


def test_the_same_user_has_the_same_ranking_and_others_have_others() -> None:
    assert rank("u1", 1_000, 50, ()) == rank("u1", 1_000, 50, ())
    assert len({tuple(rank(f"u{number}", 1_000, 10, ())[0]) for number in range(100)}) == 100


def test_k_and_exclusions_hold() -> None:
    whole, _ = rank("u1", 300, 300, ())
    assert rank("u1", 300, 0, ())[0] == whole[:200]
    assert rank("u1", 300, 3, {whole[0], whole[2]})[0] == [whole[1], whole[3], whole[4]]
    assert rank("u1", 2, 5, {"v1", "v2"}) == ([], [])
