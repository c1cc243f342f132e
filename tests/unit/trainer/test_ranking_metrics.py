"""Ranking metrics against known answers and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score  # type: ignore[import-untyped]

from trainer.domain.dataset import Lists, lists_of
from trainer.domain.ranking import Rankings, Scores, rank
from trainer.domain.ranking_metrics import PER_USER, Measured, RankingMetrics, Truth, measure, user_values


def lists(*per_user: list[int]) -> Lists:
    users = np.repeat(np.arange(len(per_user)), [len(each) for each in per_user]).astype(np.int32)
    return lists_of(len(per_user), users, np.array([video for each in per_user for video in each], np.int32))


NOTHING = lists([], [])
BOTH = np.array([0, 1], np.int32)


def truth_of(positives: Lists, videos: int, likes: dict[int, int] | None = None) -> Truth:
    """All users are measured; nobody liked anything before but what `likes` says, by video."""
    before = np.zeros(videos, np.int64)
    for video, count in (likes or {}).items():
        before[video] = count
    return Truth(np.flatnonzero(positives.lengths()).astype(np.int32), positives, before)


def ranked(scores: np.ndarray, positives: Lists, masked: Lists) -> tuple[Measured, RankingMetrics]:
    """Ranks by a matrix of scores, a row a user."""
    users, videos = scores.shape
    truth = truth_of(positives, videos)
    factors = Scores(np.eye(users, dtype=np.float32), scores.T.astype(np.float32), np.zeros(videos, np.float32))
    found = measure(rank(factors, masked, positives, truth.users), truth)
    return found, found.metrics


def top_of(top: list[int], positives: list[int], videos: int = 50) -> RankingMetrics:
    """The metrics of one user's ranking of which only the top is known."""
    return measure(Rankings(np.array([top], np.int32), None), truth_of(lists(positives), videos)).metrics


def test_a_checkerboard_is_ranked_perfectly() -> None:
    """Even users like even videos and odd users odd ones: every positive comes before every other video."""
    users = np.array([[1.0], [-1.0]], np.float32)
    videos = np.array([[1.0], [-1.0]] * 10, np.float32)
    positives = lists(list(range(0, 20, 2)), list(range(1, 20, 2)))
    found = rank(Scores(users, videos, np.zeros(20, np.float32)), NOTHING, positives, BOTH)
    assert measure(found, truth_of(positives, 20)).metrics.named() == pytest.approx(
        {
            "ndcg_at_10": 1.0,
            "recall_at_50": 1.0,
            "map_at_10": 1.0,
            "auc": 1.0,
            "precision_at_10": 1.0,
            "hit_rate_at_10": 1.0,
            "novelty_at_10": np.log2(20),
            "popularity_bias_at_10": 0.0,
            "coverage_at_10": 1.0,
            "gini_at_10": 0.0,
            "overlap_at_10": 0.0,
            "users": 2.0,
        }
    )


@pytest.mark.parametrize(
    ("top", "positives", "ndcg", "recall", "average_precision"),
    [
        pytest.param([3, 1, 2], [3], 1.0, 1.0, 1.0, id="first"),
        pytest.param([1, 3, 2], [3], 1 / np.log2(3), 1.0, 1 / 2, id="second"),
        pytest.param([1, 2, 4], [3], 0.0, 0.0, 0.0, id="nowhere"),
        pytest.param([3, 1, 5], [3, 5], (1 + 0.5) / (1 + 1 / np.log2(3)), 1.0, (1 + 2 / 3) / 2, id="first and third"),
        pytest.param([*range(10, 20), 3], [3], 0.0, 1.0, 0.0, id="eleventh: recalled, not in the ten"),
        pytest.param(
            [3, *range(30, 39)], list(range(12)), 1 / (1 / np.log2(np.arange(2, 12))).sum(), 1 / 12, 1 / 10, id="many"
        ),
        pytest.param([3, -1, -1], [3, 4], 1 / (1 + 1 / np.log2(3)), 0.5, 0.5, id="a list that ends early"),
    ],
)
def test_known_answers(
    top: list[int], positives: list[int], ndcg: float, recall: float, average_precision: float
) -> None:
    found = top_of(top, positives)
    assert found.ndcg_at_10 == pytest.approx(ndcg)
    assert found.recall_at_50 == pytest.approx(recall)
    assert found.map_at_10 == pytest.approx(average_precision)
    assert np.isnan(found.auc), "of a top alone nobody knows it"


def test_figures_equal_scikit_learn() -> None:
    """Scores of few steps, so that many are equal: ties count by half in AUC."""
    rng = np.random.default_rng(5)
    users, videos = 40, 120
    scores = rng.normal(size=(users, videos)).astype(np.float32)
    truth = rng.random((users, videos)) < 0.1
    positives = lists(*(np.flatnonzero(row).tolist() for row in truth))
    nothing = lists(*([] for _ in range(users)))
    assert ranked(scores, positives, nothing)[1].ndcg_at_10 == pytest.approx(ndcg_score(truth, scores, k=10), abs=1e-6)
    steps = scores.round()
    auc = np.mean([roc_auc_score(liked, row) for liked, row in zip(truth, steps, strict=True)])
    assert ranked(steps, positives, nothing)[1].auc == pytest.approx(auc, abs=1e-6)
    first = np.argsort(-scores[0])[:10]
    hits = truth[0][first]
    expected = average_precision_score(hits, -np.arange(10)) * hits.sum() / min(10, truth[0].sum())
    assert ranked(scores, positives, nothing)[0].values[0, PER_USER.index("map_at_10")] == pytest.approx(expected)


def test_masked_videos_are_never_ranked() -> None:
    users = np.ones((2, 1), np.float32)
    videos = np.arange(60, dtype=np.float32)[:, None]
    masked, positives = lists([59, 58], list(range(60))), lists([57], [3])
    found = measure(
        rank(Scores(users, videos, np.zeros(60, np.float32)), masked, positives, BOTH), truth_of(positives, 60)
    )
    assert found.metrics.ndcg_at_10 == pytest.approx(0.5), "the first user's best is found, the second has nothing left"
    assert found.metrics.auc == pytest.approx((1.0 + 0.5) / 2), "where nothing is left, nothing is above or below"


def test_a_masked_positive_is_below_all_others_in_auc() -> None:
    """Of the four videos one is masked and one liked: the masked one, if liked, is above none of the rest."""
    scores = np.array([[4.0, 3.0, 2.0, 1.0]])
    assert ranked(scores, lists([0]), lists([0]))[1].auc == 0.0
    assert ranked(scores, lists([2]), lists([0]))[1].auc == pytest.approx(1 / 2)
    assert ranked(scores, lists([0, 1]), lists([0]))[1].auc == pytest.approx((0 + 1) / 2)


def test_users_are_ranked_for_in_blocks_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(30, 90)).astype(np.float32)
    positives = lists(*([int(video)] for video in rng.integers(0, 90, 30)))
    masked = lists(*([int(video)] for video in rng.integers(0, 90, 30)))
    whole = ranked(scores, positives, masked)[0].values
    monkeypatch.setattr("trainer.domain.ranking._BLOCK_SCORES", 90 * 7)
    np.testing.assert_array_equal(ranked(scores, positives, masked)[0].values, whole)


def test_the_prior_is_added() -> None:
    users, prior = np.zeros((2, 1), np.float32), np.zeros(60, np.float32)
    prior[42] = 1.0
    positives = lists([42], [42])
    found = measure(
        rank(Scores(users, np.ones((60, 1), np.float32), prior), NOTHING, positives, BOTH), truth_of(positives, 60)
    )
    assert (found.metrics.ndcg_at_10, found.metrics.overlap_at_10) == (1.0, 1.0)


def test_coverage_and_overlap() -> None:
    top = np.array([list(range(10)), list(range(5, 15))], np.int32)
    found = measure(Rankings(top, None), truth_of(lists([0], [5]), 60)).metrics
    assert found.coverage_at_10 == pytest.approx(15 / 60)
    assert found.overlap_at_10 == pytest.approx(0.5)
    assert top_of(top[0].tolist(), [0]).overlap_at_10 == 0.0


@pytest.mark.parametrize(
    ("videos", "expected"),
    [
        pytest.param(10, 0.0, id="each video once"),
        pytest.param(100, 0.9, id="a tenth of the videos, the others never"),
    ],
)
def test_gini_is_of_all_videos(videos: int, expected: float) -> None:
    assert top_of(list(range(10)), [0], videos).gini_at_10 == pytest.approx(expected)


def test_novelty_is_the_bits_of_rare_videos() -> None:
    """One like more is counted for each video: they have 8, 4, 3 and 1 of 16."""
    likes = truth_of(lists([0]), 4, {0: 7, 1: 3, 2: 2}).likes
    for video, bits in ((0, 1.0), (1, 2.0), (3, 4.0)):
        rankings = Rankings(np.array([[video, -1]], np.int32), None)
        found = measure(rankings, Truth(BOTH[:1], lists([0]), likes)).metrics
        assert found.novelty_at_10 == pytest.approx(bits)


def test_popularity_bias_is_against_what_users_like() -> None:
    """Of four videos the most popular is more popular than 3.5 of them, the least popular than 0.5."""
    likes = truth_of(lists([0]), 4, {0: 9, 1: 5, 2: 1}).likes
    shown = Rankings(np.array([[0, -1]], np.int32), None)
    assert measure(shown, Truth(BOTH[:1], lists([3]), likes)).metrics.popularity_bias_at_10 == pytest.approx(3 / 4)
    assert measure(shown, Truth(BOTH[:1], lists([0]), likes)).metrics.popularity_bias_at_10 == 0.0


def test_only_counted_positives_count_as_found() -> None:
    """The first user liked a counted and another video, the second only another: no figure of the second."""
    truth = truth_of(lists([1, 2], [2]), 20)
    top = np.array([[2, 1, 5], [2, 1, 5]], np.int32)
    beaten = np.array([0.5, 1.0, 1.0], np.float32)
    values = user_values(Rankings(top, beaten), truth, np.arange(20) == 1)
    assert values[0, PER_USER.index("ndcg_at_10")] == pytest.approx(1 / np.log2(3))
    assert values[0, PER_USER.index("auc")] == 0.5
    assert np.isnan(values[1]).all()
