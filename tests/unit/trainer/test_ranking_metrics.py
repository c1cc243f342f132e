"""Ranking metrics against known answers and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score  # type: ignore[import-untyped]

from trainer.domain.dataset import Lists, lists_of
from trainer.domain.ranking_metrics import measure, rank_metrics


def lists(*per_user: list[int]) -> Lists:
    users = np.repeat(np.arange(len(per_user)), [len(each) for each in per_user]).astype(np.int32)
    return lists_of(len(per_user), users, np.array([video for each in per_user for video in each], np.int32))


NOTHING = lists([], [])
BOTH = np.array([0, 1], np.int32)


def test_a_checkerboard_is_ranked_perfectly() -> None:
    """Even users like even videos and odd users odd ones: every positive comes before every other video."""
    users = np.array([[1.0], [-1.0]], np.float32)
    videos = np.array([[1.0], [-1.0]] * 10, np.float32)
    positives = lists(list(range(0, 20, 2)), list(range(1, 20, 2)))
    found = rank_metrics(users, videos, np.zeros(20, np.float32), NOTHING, positives, BOTH)
    assert found.named() == pytest.approx(
        {
            "ndcg_at_10": 1.0,
            "recall_at_50": 1.0,
            "precision_at_10": 1.0,
            "hit_rate_at_10": 1.0,
            "coverage_at_10": 1.0,
            "overlap_at_10": 0.0,
            "users": 2.0,
        }
    )


@pytest.mark.parametrize(
    ("top", "positives", "ndcg", "recall"),
    [
        pytest.param([3, 1, 2], [3], 1.0, 1.0, id="first"),
        pytest.param([1, 3, 2], [3], 1 / np.log2(3), 1.0, id="second"),
        pytest.param([1, 2, 4], [3], 0.0, 0.0, id="nowhere"),
        pytest.param([3, 1, 5], [3, 5], (1 + 0.5) / (1 + 1 / np.log2(3)), 1.0, id="first and third of two"),
        pytest.param([*range(10, 20), 3], [3], 0.0, 1.0, id="eleventh: recalled, not in the ten"),
        pytest.param(
            [3, *range(30, 39)], list(range(12)), 1 / (1 / np.log2(np.arange(2, 12))).sum(), 1 / 12, id="many"
        ),
        pytest.param([3, -1, -1], [3, 4], 1 / (1 + 1 / np.log2(3)), 0.5, id="a list that ends early"),
    ],
)
def test_known_answers(top: list[int], positives: list[int], ndcg: float, recall: float) -> None:
    found = measure(np.array([top], np.int32), lists(positives), np.array([0], np.int32), videos=50)
    assert found.ndcg_at_10 == pytest.approx(ndcg)
    assert found.recall_at_50 == pytest.approx(recall)


def test_ndcg_equals_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    users, videos = 40, 120
    user_factors = rng.normal(size=(users, 8)).astype(np.float32)
    item_factors = rng.normal(size=(videos, 8)).astype(np.float32)
    truth = rng.random((users, videos)) < 0.1
    positives = lists(*(np.flatnonzero(row).tolist() for row in truth))
    everybody = np.arange(users, dtype=np.int32)
    nothing = lists(*([] for _ in range(users)))
    found = rank_metrics(user_factors, item_factors, np.zeros(videos, np.float32), nothing, positives, everybody)
    assert found.ndcg_at_10 == pytest.approx(ndcg_score(truth, user_factors @ item_factors.T, k=10), abs=1e-6)


def test_masked_videos_are_never_ranked() -> None:
    users = np.ones((2, 1), np.float32)
    videos = np.arange(60, dtype=np.float32)[:, None]
    masked = lists([59, 58], list(range(60)))
    found = rank_metrics(users, videos, np.zeros(60, np.float32), masked, lists([57], [3]), BOTH)
    assert found.ndcg_at_10 == pytest.approx(0.5), "the first user's best is found, the second has nothing left"


def test_the_prior_is_added() -> None:
    users = np.zeros((2, 1), np.float32)
    prior = np.zeros(60, np.float32)
    prior[42] = 1.0
    found = rank_metrics(users, np.ones((60, 1), np.float32), prior, NOTHING, lists([42], [42]), BOTH)
    assert (found.ndcg_at_10, found.overlap_at_10) == (1.0, 1.0)


def test_coverage_and_overlap() -> None:
    top = np.array([list(range(10)), list(range(5, 15))], np.int32)
    found = measure(top, lists([0], [5]), BOTH, videos=60)
    assert found.coverage_at_10 == pytest.approx(15 / 60)
    assert found.overlap_at_10 == pytest.approx(0.5)
    assert measure(top[:1], lists([0]), BOTH[:1], videos=60).overlap_at_10 == 0.0
