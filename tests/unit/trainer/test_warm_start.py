"""A published model as the beginning of a fit on a later log."""

import numpy as np
import pytest

from runtime.models.model_bundle import text_table
from tests.model_bundles import arrays_of
from trainer.domain.warm_start import start_of

MODEL = arrays_of(
    {"ann": (0.5, 2.0, 3.0), "bob": (0.0, 1.0, 1.0)}, ["v0", "v1", "v2"], history={"ann": ["v2", "v1"], "bob": []}
)


def test_what_both_know_is_taken_by_name() -> None:
    """The log has lost bob and v0, and has new ones before and between."""
    start = start_of(MODEL, text_table(["amy", "ann"]), text_table(["a", "v1", "v10", "v2"]))
    assert (start.users.rows.tolist(), start.videos.rows.tolist()) == ([1], [1, 3])
    assert start.videos.learned.embedding.tolist() == [[1, 1], [2, 1]]
    assert start.videos.learned.bias.tolist() == [0, 0]
    assert start.history.rows.tolist() == [1, 3]
    assert start.history.learned.embedding.tolist() == [[1, 1], [2, 1]]


def test_of_a_user_that_is_taken_which_the_likes_do_not_say() -> None:
    """Videos 1 and 2 say (1, 1) and (2, 1), each over the square root of two; who likes nothing is all own."""
    start = start_of(MODEL, text_table(["ann", "bob"]), text_table(["v0", "v1", "v2"]))
    assert start.users.learned.embedding[0] == pytest.approx(np.array([2, 3]) - np.array([3, 2]) / np.sqrt(2), abs=1e-6)
    assert start.users.learned.embedding[1].tolist() == [1, 1]
    assert start.users.learned.bias.tolist() == [0.5, 0]


def test_a_log_of_others_begins_with_nothing() -> None:
    start = start_of(MODEL, text_table(["cid"]), text_table(["w"]))
    assert [len(each.rows) for each in (start.users, start.videos, start.history)] == [0, 0, 0]
