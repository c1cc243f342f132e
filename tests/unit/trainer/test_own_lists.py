"""Users' own lists, made beforehand: what a scorer without stages would rank."""

import numpy as np
import pytest

from runtime.models.model_bundle import ModelBundle
from scorer.domain.ranker import Ranker
from scorer.domain.wish import Wish
from tests.model_bundles import arrays_of, manifest_of
from trainer.domain import ranking
from trainer.domain.own_lists import own_lists

VIDEOS = [f"v{number}" for number in range(9)]
USERS = {f"u{number}": (0.1 * number, float(number - 2), 0.5) for number in range(5)}
ARRAYS = arrays_of(
    USERS,
    VIDEOS,
    seen={"u0": ["v0", "v8"], "u4": VIDEOS},
    prior=[0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    catalogue={"v7": {"active": False}},
)


@pytest.mark.parametrize("count", [1, 4, 9, 100])
@pytest.mark.parametrize("block_scores", [1, 20, 1 << 22], ids=["one by one", "two at a time", "all at once"])
def test_lists_are_the_rankings_of_a_scorer(count: int, block_scores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of user 2, all of whose scores but one are the same, the ties, too."""
    monkeypatch.setattr(ranking, "_BLOCK_SCORES", block_scores)
    ranker = Ranker(ModelBundle(manifest_of(), ARRAYS))
    users = np.array([3, 0, 2, 4], np.int32)
    made = [each for block in own_lists(ARRAYS, users, count) for each in block]
    assert [each.user for each in made] == users.tolist()
    for each in made:
        expected = ranker.rank(Wish(f"u{each.user}", k=count), ranker.buffer())
        assert [VIDEOS[video] for video in each.videos.tolist()] == expected.video_ids
        assert each.scores.tolist() == expected.scores


def test_nobody_has_no_list() -> None:
    assert list(own_lists(ARRAYS, np.empty(0, np.int32), 3)) == []
