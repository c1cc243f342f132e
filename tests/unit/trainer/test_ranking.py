"""Rankings of every video against a plain sort of each row."""

import numpy as np
import pytest

from trainer.domain.dataset import lists_of
from trainer.domain.ranking import DEEP, Scores, rank

USERS = 40


def expected_top(scores: np.ndarray, hidden: np.ndarray) -> list[int]:
    """The best first, of equal ones the first; -1 where nothing is left to rank."""
    order = [video for video in np.argsort(-scores, kind="stable").tolist() if not hidden[video]][:DEEP]
    return order + [-1] * (min(DEEP, len(scores)) - len(order))


@pytest.mark.parametrize("videos", [1, DEEP - 1, DEEP, DEEP + 1, 1_000, 2_003])
@pytest.mark.parametrize("grades", [1, 7, 1_000_000], ids=["all alike", "many alike", "hardly any alike"])
@pytest.mark.parametrize("hidden_share", [0.0, 0.5, 1.0])
def test_the_top_is_that_of_a_stable_sort(videos: int, grades: int, hidden_share: float) -> None:
    rng = np.random.default_rng(videos)
    scores = rng.integers(0, grades, (USERS, videos)).astype(np.float32)
    hidden = rng.random((USERS, videos)) < hidden_share
    masked = lists_of(USERS, *(place.astype(np.int32) for place in np.nonzero(hidden)))
    nothing = lists_of(USERS, np.zeros(0, np.int32), np.zeros(0, np.int32))
    ranked = Scores(scores, np.eye(videos, dtype=np.float32), np.zeros(videos, np.float32))
    found = rank(ranked, masked, nothing, np.arange(USERS, dtype=np.int32))
    assert found.top.tolist() == [expected_top(row, gone) for row, gone in zip(scores, hidden, strict=True)]


def test_scores_that_are_no_numbers_come_last() -> None:
    prior = np.array([np.nan, 1.0, np.nan, 2.0], np.float32)
    nothing = lists_of(2, np.zeros(0, np.int32), np.zeros(0, np.int32))
    alike = Scores(np.ones((2, 1), np.float32), np.zeros((4, 1), np.float32), prior)
    found = rank(alike, nothing, nothing, np.arange(2, dtype=np.int32))
    assert found.top.tolist() == [[3, 1, 0, 2]] * 2
