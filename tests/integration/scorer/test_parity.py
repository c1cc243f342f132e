"""The scorer's numbers against LightFM's own, on a real fitted model."""

import numpy as np
import pytest

from runtime.model_bundle import ModelBundle, check_arrays, text_table
from scorer.domain.ranker import Ranker, Wish
from tests.model_bundles import manifest_of
from trainer.adapters.fit_lightfm import fit_lightfm, user_features
from trainer.domain.bundling import model_arrays
from trainer.domain.catalogue import catalogue_arrays
from trainer.domain.dataset import Dataset, Lists, Positives, lists_of
from trainer.domain.model import fold_biases
from trainer.ports import FitParams

USERS, VIDEOS, DIMENSIONS = 80, 300, 16
PARAMS = FitParams(DIMENSIONS, epochs=8, learning_rate=0.05, alpha=1e-5, max_sampled=20, seed=3, threads=1)
NOTHING_SEEN = Lists(np.zeros(USERS + 1, np.int64), np.empty(0, np.int32))


def dataset() -> Dataset:
    """Random likes; the last user has none."""
    liked = np.random.default_rng(11).random((USERS, VIDEOS)) < 0.05
    liked[-1] = False
    user, video = (each.astype(np.int32) for each in np.nonzero(liked))
    positives = Positives(user, video, np.ones(len(user), np.float32), np.zeros(len(user)))
    return Dataset(USERS, VIDEOS, positives, lists_of(USERS, user, video), NOTHING_SEEN, np.zeros(VIDEOS))


@pytest.fixture(scope="module")
def fitted() -> tuple[Ranker, np.ndarray]:
    """The scorer's ranker, and LightFM.predict for every user and video."""
    data = dataset()
    features = user_features(data)
    lightfm = fit_lightfm(data, features, PARAMS, lambda: None)
    user_bias, user_embedding = lightfm.get_user_representations(features)
    item_bias, item_embedding = lightfm.get_item_representations()
    model = fold_biases(user_bias, user_embedding, item_bias, item_embedding)
    video_ids = text_table([f"v{number:03}" for number in range(VIDEOS)])
    user_ids = text_table([f"u{number:03}" for number in range(USERS)])
    catalogue = catalogue_arrays(video_ids, [])
    arrays = model_arrays(user_ids, video_ids, data, model, np.zeros(VIDEOS, np.float32), catalogue)
    check_arrays(arrays.named(), DIMENSIONS)
    predicted = np.array(
        [
            lightfm.predict(np.full(VIDEOS, user, np.int32), np.arange(VIDEOS, dtype=np.int32), user_features=features)
            for user in range(USERS)
        ]
    )
    return Ranker(ModelBundle(manifest_of(dimensions=DIMENSIONS), arrays)), predicted


def test_scores_equal_lightfm_to_five_digits(fitted: tuple[Ranker, np.ndarray]) -> None:
    ranker, predicted = fitted
    ours = np.array([ranker.factor_scores(user, ranker.buffer()) for user in range(USERS)])
    assert np.abs(predicted).max() > 0.5, "the model has learned something"
    np.testing.assert_allclose(ours, predicted, rtol=0, atol=1e-5)


def test_the_order_equals_lightfms_up_to_ties(fitted: tuple[Ranker, np.ndarray]) -> None:
    """In our order LightFM's scores never rise by more than the rounding."""
    ranker, predicted = fitted
    for user in range(USERS):
        found = ranker.rank(Wish(f"u{user:03}", k=VIDEOS), ranker.buffer())
        order = [int(video_id[1:]) for video_id in found.video_ids]
        assert sorted(order) == list(range(VIDEOS))
        assert (np.diff(predicted[user][order]) <= 2e-5).all()


def test_a_user_without_a_positive_gets_popularity(fitted: tuple[Ranker, np.ndarray]) -> None:
    ranker, _ = fitted
    bias = ranker.bundle.arrays.item_factors[:, 0]
    np.testing.assert_array_equal(ranker.factor_scores(USERS - 1, ranker.buffer()), bias)
