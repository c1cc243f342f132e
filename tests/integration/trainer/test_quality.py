"""What `python -m tests.quality` measures, on a log whose answers are known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from storage.tables import user_interactions
from tests.integration.trainer.conftest import interaction
from tests.quality.algorithms import tell, tell_exact
from tests.quality.measuring import measured, parted
from tests.quality.references import liked, similarities, user_knn
from trainer.domain.algorithm import Algorithm
from trainer.domain.dataset import Dataset, Lists, Positives
from trainer.domain.ranking_metrics import Truth
from trainer.service import Training


async def test_served_rankings_beat_what_they_are_held_against(
    engine: sa.Engine, job_of: Callable[..., Training], tmp_path: Path
) -> None:
    """Two tastes: popularity is blind to them, the scorer's ranking is not, and it is the one of the model."""
    del engine
    job = job_of()
    job.export_days()
    found = await measured(job.load(), job.settings, job.fitter, 1, tmp_path / "scorer")
    assert found.served.ndcg_at_10 >= 1.5 * found.popularity.ndcg_at_10
    assert found.plain.ndcg_at_10 >= 1.5 * found.popularity.ndcg_at_10
    assert found.served.coverage_at_10 >= 0.2
    assert found.knn.ndcg_at_10 > found.popularity.ndcg_at_10
    assert found.served.users == found.knn.users == found.model.users > 0


def test_algorithms_are_measured_beside_each_other(
    engine: sa.Engine, job_of: Callable[..., Training], capsys: pytest.CaptureFixture[str]
) -> None:
    """With many directions for two tastes of 30 videos each, user-kNN finds what its formula finds (measured: 0.88)."""
    del engine
    job = job_of(FEED_TRAINER_DIMENSIONS="40")
    job.export_days()
    data = job.load()
    parts = parted(data, job.settings)
    tell(job, data.features, parts, Algorithm.POPULARITY)
    knn_model = tell(job, data.features, parts, Algorithm.USER_KNN)
    tell_exact(parts, knn_model, job.settings.trainer_knn_neighbours)
    popularity, knn, exact = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert "is not above" in popularity["gate"]
    assert (knn["figure"], knn["gate"], knn["dimensions"]) == ("user-knn", "passes", 40)
    assert float(knn["ndcg_at_10"]) > 1.5 * float(popularity["ndcg_at_10"])
    assert exact["overlap_at_10"] > 0.8, "the rest are ties"


def test_neighbours_vote_by_their_cosine() -> None:
    """By hand: user 0 and user 1 share one of two videos, user 2 likes the third video as user 1 does."""
    user, video = np.array([0, 0, 1, 1, 2], np.int32), np.array([0, 1, 1, 2, 2], np.int32)
    nothing = Lists(np.zeros(4, np.int64), np.empty(0, np.int32))
    pairs = Positives(user, video, np.ones(5, np.float32), np.zeros(5))
    data = Dataset(3, 3, pairs, nothing, nothing, np.zeros(3))
    everybody = Truth(np.arange(3, dtype=np.int32), nothing, np.zeros(3, np.int64))
    # Cosines: 0 with 1 1/2, 1 with 2 1/sqrt(2), 0 with 2 none.
    assert user_knn(data, everybody, 2)[1].tolist() == [2, 0, 1], "sqrt(2)/2 for the third, 1/2 for the others"
    assert user_knn(data, everybody, 1)[1, 0] == 2
    assert set(user_knn(data, everybody, 2)[0, :2].tolist()) == {1, 2}, "what user 1 likes"


def test_similar_are_videos_that_the_same_users_liked() -> None:
    """Users 0 and 1 like the videos 0 and 1, user 2 likes 1 and 2: cosines by hand."""
    user, video = np.array([0, 0, 1, 1, 2, 2], np.int32), np.array([0, 1, 0, 1, 1, 2], np.int32)
    nothing = Lists(np.zeros(4, np.int64), np.empty(0, np.int32))
    pairs = Positives(user, video, np.ones(6, np.float32), np.zeros(6))
    likes = liked(Dataset(3, 3, pairs, nothing, nothing, np.zeros(3)))
    near, far = 2 / np.sqrt(2 * 3), 1 / np.sqrt(3)
    expected = np.array([[0, near, 0], [near, 0, far], [0, far, 0]])
    np.testing.assert_allclose(similarities(likes, 0), expected, atol=1e-6)
    expected[1, 2] = 0
    np.testing.assert_allclose(similarities(likes, 1), expected, atol=1e-6)


def test_what_was_imported_with_numbers_is_exported(engine: sa.Engine, job_of: Callable[..., Training]) -> None:
    """The import of KuaiRand tells of a long view as a number; of clients only texts can come."""
    with engine.begin() as connection:
        row = interaction(800_000, 1, 1, 0, metadata={"import": "kuairand", "long_view": 1})
        connection.execute(sa.insert(user_interactions), [row])
    job = job_of()
    job.export_days()
    assert len(job.load().log) > 0
