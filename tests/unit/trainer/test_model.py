"""Models as factors: scaled, added up, brought to one spread, described by likes."""

import numpy as np
import pytest

from trainer.domain.model import (
    SPREAD,
    FactorModel,
    Learned,
    added_up,
    fold_biases,
    nearest_map,
    scaled,
    spread_alike,
    spread_of,
    unbiased,
)

USERS, VIDEOS = 7, 11


def random_model(seed: int, dimensions: int = 3) -> FactorModel:
    rng = np.random.default_rng(seed)

    def learned(count: int) -> Learned:
        bias, embedding = rng.normal(size=count), rng.normal(size=(count, dimensions))
        return Learned(bias.astype(np.float32), embedding.astype(np.float32))

    return fold_biases(learned(USERS), learned(VIDEOS), learned(VIDEOS))


def scores(model: FactorModel) -> np.ndarray:
    return np.asarray(model.user_factors @ model.item_factors.T)


def said(model: FactorModel) -> np.ndarray:
    """What each video, liked, adds to the score of each."""
    return np.asarray(model.history_factors @ model.item_factors.T)


def test_a_scaled_model_has_scaled_scores() -> None:
    model = random_model(1)
    np.testing.assert_allclose(scores(scaled(model, 2.5)), 2.5 * scores(model), atol=1e-5)
    np.testing.assert_allclose(said(scaled(model, 2.5)), 2.5 * said(model), atol=1e-5)


def test_models_added_up_have_the_sum_of_their_scores() -> None:
    """Of different lengths, biases and folded-in likes included."""
    models = [random_model(1), random_model(2, dimensions=5)]
    together = added_up(models)
    assert together.dimensions == 8
    np.testing.assert_allclose(scores(together), sum(map(scores, models)), atol=1e-5)
    np.testing.assert_allclose(said(together), sum(map(said, models)), atol=1e-5)


def test_the_spread_is_the_standard_deviation_of_a_users_scores() -> None:
    model = random_model(1)
    expected = np.sqrt(np.mean(scores(model).std(axis=1) ** 2))
    assert spread_of(model) == pytest.approx(expected, rel=1e-5)
    assert spread_of(spread_alike(model)) == pytest.approx(SPREAD, rel=1e-5)


def test_users_of_whom_nothing_is_known_do_not_count_for_the_spread() -> None:
    model = random_model(1)
    strangers = np.zeros((20, model.user_factors.shape[1]), np.float32)
    more = FactorModel(np.vstack([model.user_factors, strangers]), model.item_factors, model.history_factors)
    assert spread_of(more) == pytest.approx(spread_of(model))


def test_a_model_without_a_spread_stays_as_it_is() -> None:
    nothing = unbiased(np.zeros((4, 1), np.float32))
    model = fold_biases(nothing, nothing, nothing)
    assert spread_alike(model) is model


def test_the_nearest_map_is_found_where_there_is_an_exact_one() -> None:
    rng = np.random.default_rng(5)
    given, exact = rng.normal(size=(50, 4)).astype(np.float32), rng.normal(size=(4, 3))
    np.testing.assert_allclose(nearest_map(given, (given @ exact).astype(np.float32)), exact, atol=1e-5)


def test_from_nothing_nothing_is_mapped() -> None:
    """Without histories (FEED_TRAINER_HISTORY_LENGTH=0) no like says anything."""
    assert not nearest_map(np.zeros((5, 2), np.float32), np.ones((5, 3), np.float32)).any()
