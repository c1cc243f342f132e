"""What the algorithms are made of, against what the libraries or the formulas themselves say."""

from dataclasses import replace

import numpy as np
import pytest

from runtime.models.model_bundle import BIAS_COLUMNS
from runtime.settings import load
from trainer.adapters.fit_implicit import AlsFitter, fit_als
from trainer.adapters.fit_lightfm import LightFMFitter, with_dislikes
from trainer.adapters.fit_scipy import UserKnnFitter, neighbours
from trainer.adapters.matrices import likes
from trainer.domain.algorithm import Algorithm
from trainer.domain.dataset import Dataset, Lists, Positives, lists_of
from trainer.domain.model import FactorModel, Learned, said_by_likes
from trainer.domain.warm_start import Known, Start
from trainer.ports import FitParams, Fitter, StepwiseFitter
from trainer.settings import TrainerSettings

USERS, VIDEOS, HISTORY = 40, 12, 30
NOTHING_SEEN = Lists(np.zeros(USERS + 1, np.int64), np.empty(0, np.int32))


def liked() -> np.ndarray:
    """Random likes; the last user has none."""
    liked = np.random.default_rng(11).random((USERS, VIDEOS)) < 0.3
    liked[-1] = False
    return liked


def dataset() -> Dataset:
    user, video = (each.astype(np.int32) for each in np.nonzero(liked()))
    weight = np.random.default_rng(12).uniform(0.5, 1.5, len(user)).astype(np.float32)
    positives = Positives(user, video, weight, np.zeros(len(user)))
    return Dataset(USERS, VIDEOS, positives, lists_of(USERS, user, video), NOTHING_SEEN, np.zeros(VIDEOS))


def params(dimensions: int, neighbours: int = 10) -> FitParams:
    changes = {"FEED_TRAINER_DIMENSIONS": str(dimensions), "FEED_TRAINER_KNN_NEIGHBOURS": str(neighbours)}
    return load(TrainerSettings, changes).fit_params(1)


def scores(model: FactorModel) -> np.ndarray:
    return np.asarray(model.user_factors @ model.item_factors.T)


def knn_scores(neighbours: int) -> np.ndarray:
    """Each score of user-kNN by its formula: the cosines of the nearest others who liked the video, added up."""
    rows = liked().astype(np.float64)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, 0)
    bound = np.sort(cosines, axis=1)[:, -neighbours][:, None]
    return np.asarray(np.where(cosines >= bound, cosines, 0) @ rows)


@pytest.mark.parametrize("dimensions", [VIDEOS, 64])
def test_user_knn_is_exact_with_a_column_for_each_video(dimensions: int) -> None:
    found = scores(UserKnnFitter().fit(dataset(), params(dimensions, USERS), lambda: None))
    exact = knn_scores(USERS)
    np.testing.assert_allclose(found / found.max(), exact / exact.max(), atol=1e-5)


def test_only_the_nearest_neighbours_count() -> None:
    """One each; of those as near as the nearest any may be taken, so only users with one nearest are compared."""
    near = neighbours(dataset(), 1).toarray()
    rows = liked().astype(np.float64)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, 0)
    np.testing.assert_allclose(near.max(axis=1), cosines.max(axis=1), atol=1e-6)
    assert ((near > 0).sum(axis=1) == [1] * (USERS - 1) + [0]).all()
    np.testing.assert_allclose(near[near > 0], cosines[near > 0], atol=1e-6)


def test_with_fewer_columns_user_knn_comes_near() -> None:
    found = scores(UserKnnFitter().fit(dataset(), params(8, 10), lambda: None))
    assert np.corrcoef(found.ravel(), knn_scores(10).ravel())[0, 1] > 0.95


def test_als_ranks_as_implicit_itself_does() -> None:
    data = dataset()
    ours = scores(AlsFitter().fit(data, params(4), lambda: None))
    library = fit_als(data, params(4), lambda: None)
    nothing = likes(data, np.ones(len(data.positives), np.float32))
    for user in range(USERS - 1):
        best, theirs = library.recommend(user, nothing[user], N=VIDEOS, filter_already_liked_items=False)
        np.testing.assert_allclose(ours[user, best] / ours[user].max(), theirs / theirs.max(), atol=1e-4)


@pytest.mark.parametrize("fitter", [AlsFitter(), UserKnnFitter()], ids=["als", "user-knn"])
def test_likes_say_most_of_what_was_learned_of_users(fitter: Fitter) -> None:
    data = dataset()
    model = fitter.fit(data, params(4), lambda: None)
    own = model.user_factors.copy()
    for user in range(USERS):
        mine = data.history.of(user)
        own[user] -= model.history_factors[mine].sum(axis=0) / np.sqrt(max(len(mine), 1))
    left = (own[:, BIAS_COLUMNS:] ** 2).sum() / (model.user_factors[:, BIAS_COLUMNS:] ** 2).sum()
    assert left < 0.3


def test_nothing_that_was_liked_is_told_as_disliked() -> None:
    said, weights = with_dislikes(dataset(), np.random.default_rng(1))
    as_liked = said.data > 0
    told = np.zeros((USERS, VIDEOS), np.bool_)
    told[said.row[as_liked], said.col[as_liked]] = True
    np.testing.assert_array_equal(told, liked())
    assert (~as_liked).any()
    assert not liked()[said.row[~as_liked], said.col[~as_liked]].any()
    assert (weights.data > 0).all()


def beginning_of(model: FactorModel, data: Dataset) -> Start:
    """A start that knows everybody and everything."""

    def known(factors: np.ndarray, bias_column: int) -> Known:
        return Known(np.arange(len(factors)), Learned(factors[:, bias_column], factors[:, BIAS_COLUMNS:]))

    own = model.user_factors - said_by_likes(model.history_factors, data.history)
    return Start(known(own, 1), known(model.item_factors, 0), known(model.history_factors, 1))


STEPWISE: list[StepwiseFitter] = [
    LightFMFitter(Algorithm.LIGHTFM_WARP),
    LightFMFitter(Algorithm.LIGHTFM_BPR),
    LightFMFitter(Algorithm.LIGHTFM_LOGISTIC),
    AlsFitter(),
]
stepwise = pytest.mark.parametrize("fitter", STEPWISE, ids=lambda fitter: fitter.algorithm)


@stepwise
def test_steps_end_where_a_fit_ends(fitter: StepwiseFitter) -> None:
    """To the byte, and each step's model is what a fit of so many passes is."""
    data, told = dataset(), params(4)
    short = replace(told, **{fitter.passes_param: 2})
    models = [model() for model in fitter.steps(data, told, None)]
    assert len(models) == fitter.passes(told)
    for each, wanted in ((models[-1], told), (models[1], short)):
        whole = fitter.fit(data, wanted, lambda: None)
        assert each.user_factors.tobytes() == whole.user_factors.tobytes()
        assert each.item_factors.tobytes() == whole.item_factors.tobytes()
        assert each.history_factors.tobytes() == whole.history_factors.tobytes()


@stepwise
def test_a_fit_that_begins_with_a_model_stays_near_it(fitter: StepwiseFitter) -> None:
    """After one pass it ranks much more as that model does than one that began with chance."""
    data, told = dataset(), replace(params(4), **{fitter.passes_param: 30})
    learned = fitter.fit(data, told, lambda: None)
    once = replace(told, **{fitter.passes_param: 1})
    begun, scratch = (next(fitter.steps(data, once, start))() for start in (beginning_of(learned, data), None))
    alike = [np.corrcoef(scores(each).ravel(), scores(learned).ravel())[0, 1] for each in (begun, scratch)]
    assert alike[0] > 0.9
    assert alike[0] > alike[1] + 0.05
