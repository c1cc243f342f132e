"""The best k, held against sorting everything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.domain.topk import top_k

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
