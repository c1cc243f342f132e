"""The scorer's numbers against LightFM's own, on a real fitted model."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from runtime.models.model_bundle import ModelBundle, check_arrays, text_table
from scorer.domain.fold_in import Did, FoldRules, Recent, fold_in
from scorer.domain.ranker import Ranker
from scorer.domain.wish import Wish
from tests.model_bundles import manifest_of
from trainer.adapters.fit_lightfm import LOSSES, factor_model, fit_lightfm, user_features
from trainer.domain.bundling import model_arrays
from trainer.domain.catalogue import catalogue_arrays
from trainer.domain.dataset import Dataset, Lists, Positives, lists_of
from trainer.domain.user_features import FeatureModel
from trainer.ports import FitParams

USERS, VIDEOS, DIMENSIONS = 80, 300, 16
HISTORY = 12
PARAMS = FitParams(
    DIMENSIONS,
    epochs=8,
    learning_rate=0.05,
    alpha=1e-5,
    max_sampled=20,
    als_confidence=1.0,
    als_penalty=0.01,
    als_passes=1,
    knn_neighbours=1,
    seed=3,
    threads=1,
)
NOTHING_SEEN = Lists(np.zeros(USERS + 1, np.int64), np.empty(0, np.int32))


def dataset() -> Dataset:
    """Random likes; the last user has none."""
    liked = np.random.default_rng(11).random((USERS, VIDEOS)) < 0.05
    liked[-1] = False
    user, video = (each.astype(np.int32) for each in np.nonzero(liked))
    positives = Positives(user, video, np.ones(len(user), np.float32), np.zeros(len(user)))
    return Dataset(USERS, VIDEOS, positives, lists_of(USERS, user, video), NOTHING_SEEN, np.zeros(VIDEOS))


@dataclass(frozen=True)
class Fitted:
    """The scorer's ranker beside LightFM's own model."""

    ranker: Ranker
    lightfm: Any
    data: Dataset

    def scores(self, user: int) -> np.ndarray:
        return self.ranker.factor_scores(self.ranker.bundle.arrays.user_factors[user], self.ranker.buffer())

    def predicted(self, user: int, data: Dataset | None = None) -> np.ndarray:
        """LightFM's scores of all videos for a user, who may have done more since the fit."""
        users, videos = np.full(VIDEOS, user, np.int32), np.arange(VIDEOS, dtype=np.int32)
        return np.array(self.lightfm.predict(users, videos, user_features=user_features(data or self.data)))


@pytest.fixture(scope="module", params=list(LOSSES))
def fitted(request: pytest.FixtureRequest) -> Fitted:
    data = dataset()
    features = user_features(data)
    lightfm = fit_lightfm(data, features, request.param, PARAMS, lambda: None)
    model = factor_model(lightfm, features)
    video_ids = text_table([f"v{number:03}" for number in range(VIDEOS)])
    user_ids = text_table([f"u{number:03}" for number in range(USERS)])
    catalogue = catalogue_arrays(video_ids, [])
    nothing = FeatureModel(text_table(()), np.zeros((0, DIMENSIONS + 2), np.float32))
    arrays = model_arrays(user_ids, video_ids, data, model, np.zeros(VIDEOS, np.float32), catalogue, nothing)
    check_arrays(arrays.named(), DIMENSIONS)
    params: dict[str, float | int | str] = {"long_view_s": 18.0, "history_length": HISTORY}
    return Fitted(Ranker(ModelBundle(manifest_of(dimensions=DIMENSIONS, params=params), arrays)), lightfm, data)


def test_scores_equal_lightfm_to_five_digits(fitted: Fitted) -> None:
    ours = np.array([fitted.scores(user) for user in range(USERS)])
    predicted = np.array([fitted.predicted(user) for user in range(USERS)])
    assert np.abs(predicted).max() > 0.2, "the model has learned something"
    np.testing.assert_allclose(ours, predicted, rtol=0, atol=1e-5)


def test_the_order_equals_lightfms_up_to_ties(fitted: Fitted) -> None:
    """In our order LightFM's scores never rise by more than the rounding."""
    ranker = fitted.ranker
    for user in range(USERS):
        found = ranker.rank(Wish(f"u{user:03}", k=VIDEOS), ranker.buffer())
        order = [int(video_id[1:]) for video_id in found.video_ids]
        assert sorted(order) == list(range(VIDEOS))
        assert (np.diff(fitted.predicted(user)[order]) <= 2e-5).all()


def test_a_user_without_a_positive_gets_popularity(fitted: Fitted) -> None:
    bias = fitted.ranker.bundle.arrays.item_factors[:, 0]
    np.testing.assert_array_equal(fitted.scores(USERS - 1), bias)


def test_likes_after_the_fit_enter_as_lightfm_enters_them(fitted: Fitted) -> None:
    """LightFM, given the history with the new likes before the old ones as features, gives the same scores."""
    user, liked = 3, [7, 250, 91]
    old = [video for video in fitted.data.history.of(user).tolist() if video not in liked]
    recent = [Recent(f"v{video:03}", Did.LIKED, 0.0, -age) for age, video in enumerate(liked)]
    later = replace(fitted.data, history=lists_with(fitted.data.history, user, [*liked, *old][:HISTORY]))

    row = fold_in(fitted.ranker.bundle.arrays, FoldRules(18.0, HISTORY), user, recent)

    assert row is not None
    ours = fitted.ranker.factor_scores(row, fitted.ranker.buffer())
    np.testing.assert_allclose(ours, fitted.predicted(user, later), rtol=0, atol=1e-5)
    assert np.abs(ours - fitted.scores(user)).max() > 0.01, "the likes say something"


def lists_with(lists: Lists, changed: int, videos: list[int]) -> Lists:
    """The lists, one of them another."""
    each = [videos if user == changed else lists.of(user).tolist() for user in range(USERS)]
    users = np.repeat(np.arange(USERS, dtype=np.int32), [len(found) for found in each])
    return lists_of(USERS, users, np.array([video for found in each for video in found], np.int32))
