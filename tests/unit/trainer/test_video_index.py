"""What an index is made of: products that are scores, and how its recall is counted."""

import numpy as np
import pytest

from tests.model_bundles import small_arrays
from trainer.domain.video_index import (
    IndexRules,
    by_columns,
    exact_top,
    index_queries,
    index_rows,
    recall,
    stretch_of,
    wants_index,
)

DRAW = np.random.default_rng(4)
USERS = np.column_stack([np.ones(200), DRAW.normal(size=(200, 9)) * np.geomspace(3, 0.01, 9)]).astype(np.float32)
ITEMS = np.column_stack([DRAW.normal(size=50), np.ones(50), DRAW.normal(size=(50, 8))]).astype(np.float32)
PRIOR = DRAW.normal(size=50).astype(np.float32)


def test_products_are_scores_but_for_the_users_bias() -> None:
    scores = USERS @ ITEMS.T + PRIOR
    products = index_queries(USERS) @ index_rows(ITEMS, PRIOR).T
    np.testing.assert_allclose(products + USERS[:, 1:2], scores, atol=1e-5)


def test_the_stretch_keeps_products_and_makes_users_alike_in_all_directions() -> None:
    rows, queries = index_rows(ITEMS, PRIOR), index_queries(USERS)
    stretch = stretch_of(queries)
    mapped = queries @ stretch.query_map.T
    np.testing.assert_allclose(rows @ stretch.row_map.T @ mapped.T, rows @ queries.T, rtol=1e-4, atol=1e-4)
    shares = np.linalg.eigvalsh(mapped.T @ mapped / len(mapped))
    assert shares.max() == pytest.approx(1, rel=1e-3)
    assert shares.min() >= -1e-6, "those that hardly count are not blown up"


def test_the_best_are_found_and_counted() -> None:
    rows = np.arange(100, dtype=np.float32)[:, None]
    exact = exact_top(rows, np.array([[1], [-1]], np.float32))
    assert [sorted(each) for each in exact.tolist()] == [list(range(50, 100)), list(range(50))]
    found = np.array([[*range(50, 100)], [*range(25, 75)]])
    assert recall(found, exact) == 0.75


@pytest.mark.parametrize(("from_videos", "wanted"), [(5, True), (6, False)])
def test_an_index_is_for_many_videos(from_videos: int, wanted: bool) -> None:
    assert wants_index(small_arrays(), IndexRules(from_videos)) is wanted


def test_factors_by_columns_are_the_same_numbers() -> None:
    arrays = small_arrays()
    stored = by_columns(arrays).item_factors
    assert stored.flags.f_contiguous
    assert stored.tolist() == arrays.item_factors.tolist()
