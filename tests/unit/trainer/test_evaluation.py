"""Measuring on a time split: no leakage, popularity beside it, refusals."""

from collections.abc import Callable

import numpy as np
import pytest

from runtime.model_bundle import text_table
from trainer.domain.dataset import Dataset, DatasetRules
from trainer.domain.evaluation import Split, evaluate, split
from trainer.domain.gate import GateRules
from trainer.domain.log import DAY_S, InteractionLog, Kind
from trainer.domain.model import FactorModel, Learned, PriorRules, fold_biases, item_prior
from trainer.domain.signal import SignalRules

USERS, VIDEOS, DAYS = 60, 40, 10
RULES = DatasetRules(SignalRules({Kind.VIEW: 0.1, Kind.LIKE: 0.7}, 18.0, 14.0), 5, 4.0, 1.0)
GATE = GateRules(100, 10, 10, 10, 1.0, 0.01, 0.8)
NO_PRIOR = PriorRules(0.0, 0.0)
DURATIONS = np.full(VIDEOS, 20.0, np.float32)


def two_tastes() -> InteractionLog:
    """Even users watch even videos and odd users odd ones, one a day, each time another."""
    user = np.tile(np.arange(USERS), DAYS)
    day = np.repeat(np.arange(DAYS), USERS)
    video = (user % 2) + 2 * ((user // 2 + day) % (VIDEOS // 2))
    count = len(user)
    return InteractionLog(
        text_table([f"u{number:03}" for number in range(USERS)]),
        text_table([f"v{number:03}" for number in range(VIDEOS)]),
        user.astype(np.int32),
        video.astype(np.int32),
        np.full(count, Kind.VIEW, np.int8),
        np.full(count, 20.0, np.float32),
        np.full(count, np.nan, np.float32),
        (day * DAY_S + user).astype(np.float64),
    )


def parted() -> Split:
    return split(two_tastes(), DURATIONS, RULES, 2.0, 1000)


def taste_model(_: Dataset) -> FactorModel:
    """Knows that there are two tastes."""
    user = np.where(np.arange(USERS) % 2, -1.0, 1.0)
    video = np.where(np.arange(VIDEOS) % 2, -1.0, 1.0)
    return factors(user, video)


def factors(user: np.ndarray, video: np.ndarray) -> FactorModel:
    return fold_biases(learned(np.zeros(USERS), user), learned(np.zeros(VIDEOS), video), NO_HISTORY)


def learned(bias: np.ndarray, embedding: np.ndarray) -> Learned:
    return Learned(bias.astype(np.float32), embedding[:, None].astype(np.float32))


NO_HISTORY = learned(np.zeros(VIDEOS), np.zeros(VIDEOS))


def test_the_past_and_the_last_days_are_parted() -> None:
    parts = parted()
    times = two_tastes().time_s
    assert parts.facts.interactions == len(times)
    assert parts.train.positives.time_s.max() < times.max() - 2 * DAY_S
    assert parts.facts.test_users == len(parts.users) == USERS
    before = set(zip(parts.train.positives.user.tolist(), parts.train.positives.video.tolist(), strict=True))
    after = {(user, video) for user in range(USERS) for video in parts.positives.of(user).tolist()}
    assert not before & after
    assert len(after) >= 2 * USERS


def test_of_many_users_every_nth_is_measured() -> None:
    users = split(two_tastes(), DURATIONS, RULES, 2.0, 25).users
    assert users.tolist() == list(range(0, USERS, 3))


def test_a_model_that_knows_more_than_popularity_passes() -> None:
    found = evaluate(parted(), taste_model, NO_PRIOR, GATE)
    assert found.refusal is None
    assert found.model.ndcg_at_10 > 1.5 * found.popularity.ndcg_at_10
    assert found.named()["popularity_ndcg_at_10"] == found.popularity.ndcg_at_10


def constant(_: Dataset) -> FactorModel:
    return factors(np.zeros(USERS), np.zeros(VIDEOS))


def upside_down(dataset: Dataset) -> FactorModel:
    model = taste_model(dataset)
    return FactorModel(-model.user_factors, model.item_factors, model.history_factors)


def infinite(_: Dataset) -> FactorModel:
    return factors(np.full(USERS, np.inf), np.ones(VIDEOS))


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        pytest.param(constant, "is not above", id="constant scores"),
        pytest.param(upside_down, "is not above", id="the wrong way round"),
        pytest.param(infinite, "not finite", id="infinite"),
    ],
)
def test_a_bad_model_is_refused(fit: Callable[[Dataset], FactorModel], words: str) -> None:
    assert words in (evaluate(parted(), fit, NO_PRIOR, GATE).refusal or "")


def test_too_little_data_is_refused_before_anything_is_fitted() -> None:
    def never(_: Dataset) -> FactorModel:
        raise AssertionError

    rules = GateRules(10_000, 10, 10, 10, 1.0, 0.01, 0.8)
    refusal = evaluate(parted(), never, NO_PRIOR, rules).refusal
    assert refusal == "600 interactions, at least 10000 are needed"


def test_the_prior_is_fresh_popularity_in_place_of_a_share_of_the_bias() -> None:
    train = parted().train
    bias = np.arange(VIDEOS, dtype=np.float32)
    model = fold_biases(learned(np.zeros(USERS), np.zeros(USERS)), learned(bias, np.zeros(VIDEOS)), NO_HISTORY)
    expected = 0.4 * np.log1p(train.recent_views) - 0.5 * bias
    assert item_prior(train, model, PriorRules(0.4, 0.5)) == pytest.approx(expected, abs=1e-5)
