"""The best k, held against sorting everything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.domain.topk import take_out, top_k

NOTHING = float("-inf")


@pytest.mark.parametrize(
    ("scores", "k", "expected"),
    [
        pytest.param([1, 3, 2], 2, [1, 2], id="best two"),
        pytest.param([1, 1, 1, 1], 2, [0, 1], id="ties by place"),
        pytest.param([0, 2, 1, 2, 2], 2, [1, 3], id="ties at the edge"),
        pytest.param([1, 2], 5, [1, 0], id="fewer than k"),
        pytest.param([NOTHING, 2, NOTHING], 2, [1], id="masked ones never"),
        pytest.param([NOTHING, NOTHING], 1, [], id="nothing left"),
        pytest.param([NOTHING, 1, 2, 3], 3, [3, 2, 1], id="exactly k left"),
        pytest.param([-5, -1], 1, [1], id="negative scores"),
    ],
)
def test_known_answers(scores: list[float], k: int, expected: list[int]) -> None:
    assert top_k(np.array(scores, np.float32), k).tolist() == expected


@given(
    scores=st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(NOTHING)), min_size=1, max_size=60),
    k=st.integers(1, 70),
)
def test_it_equals_a_full_sort(scores: list[float], k: int) -> None:
    places = sorted((place for place in range(len(scores)) if scores[place] > NOTHING), key=lambda p: (-scores[p], p))
    assert top_k(np.array(scores, np.float32), k).tolist() == places[:k]


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(16_384, 18_000),
    k=st.one_of(st.integers(1, 400), st.integers(7_000, 20_000)),
    masked=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    levels=st.sampled_from([1, 7, 1000, 1_000_000]),
    shape=st.sampled_from(["drawn", "rising", "falling", "sampled places worst", "sampled places best"]),
)
def test_many_scores_equal_a_full_sort(seed: int, size: int, k: int, masked: float, levels: int, shape: str) -> None:
    """Long enough for the sampled bound; with ties, masks, and orders that mislead the sample."""
    draw = np.random.default_rng(seed)
    scores = (draw.integers(0, levels, size) / levels).astype(np.float32)
    if shape == "rising":
        scores.sort()
    elif shape == "falling":
        scores = -np.sort(-scores)
    elif shape == "sampled places worst":
        scores[::64] -= 2
    elif shape == "sampled places best":
        scores[::64] += 2
    scores[draw.random(size) < masked] = NOTHING
    expected = np.lexsort((np.arange(size), -scores))
    expected = expected[scores[expected] > NOTHING][:k]
    assert top_k(scores, k).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "removed",
    [
        pytest.param(np.array([False, True, True, False]), id="which of all"),
        pytest.param(np.array([2, 1, 2], np.int32), id="places"),
    ],
)
def test_what_is_taken_out_has_no_score(removed: np.ndarray) -> None:
    scores = np.array([1, 2, NOTHING, -3], np.float32)
    take_out(scores, removed)
    assert scores.tolist() == [1, NOTHING, NOTHING, -3]
