"""Measuring on a time split: no leakage, popularity and the live model beside it, refusals."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from runtime.models.model_bundle import text_table
from trainer.adapters.log_duckdb import DuckDbLog
from trainer.domain.comparison import AUC, Figure
from trainer.domain.dataset import Dataset, DatasetRules
from trainer.domain.evaluation import (
    LIVE,
    MODEL,
    POPULARITY,
    STRANGERS,
    EvaluationRules,
    Split,
    SplitRules,
    evaluate,
    name_of_test,
    split,
)
from trainer.domain.gate import GateRules
from trainer.domain.log import DAY_S
from trainer.domain.model import FactorModel, Learned, PriorRules, fold_biases, item_prior
from trainer.domain.ranking import Scores
from trainer.domain.segments import ALL
from trainer.domain.signal import Kind, SignalRules

USERS, VIDEOS, DAYS = 60, 40, 10
RULES = DatasetRules(SignalRules({Kind.VIEW: 0.1, Kind.LIKE: 0.7}, 18.0, 14.0), 5, 4.0, 1.0)
SPLIT = SplitRules(RULES, 2.0, 1000, 10)
GATE = GateRules(100, 10, 10, 10, 1.0, 0.01, 0.8, 0.25)
NO_PRIOR = PriorRules(0.0, 0.0)
JUDGED = EvaluationRules(NO_PRIOR, GATE, 1)
DURATIONS = np.full(VIDEOS, 20.0, np.float32)


def two_tastes() -> DuckDbLog:
    """Even users watch even videos and odd users odd ones, one a day, each time another."""
    user = np.tile(np.arange(USERS), DAYS)
    day = np.repeat(np.arange(DAYS), USERS)
    video = (user % 2) + 2 * ((user // 2 + day) % (VIDEOS // 2))
    count = len(user)
    return DuckDbLog(
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
    return split(two_tastes(), DURATIONS, SPLIT)


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
    assert parts.facts.test_users == len(parts.truth.users) == USERS
    before = set(zip(parts.train.positives.user.tolist(), parts.train.positives.video.tolist(), strict=True))
    after = {(user, video) for user in range(USERS) for video in parts.truth.positives.of(user).tolist()}
    assert not before & after
    assert len(after) >= 2 * USERS


def test_of_many_users_every_nth_is_measured() -> None:
    users = split(two_tastes(), DURATIONS, replace(SPLIT, max_users=25)).truth.users
    assert users.tolist() == list(range(0, USERS, 3))


def test_a_model_that_knows_more_than_popularity_passes() -> None:
    found = evaluate(parted(), taste_model, JUDGED)
    model, popularity, named = found.metrics(MODEL), found.metrics(POPULARITY), found.named()
    assert found.refusal is None
    assert model.ndcg_at_10 > 1.5 * popularity.ndcg_at_10
    assert named["popularity_ndcg_at_10"] == popularity.ndcg_at_10
    assert named["ndcg_at_10_low"] < named["ndcg_at_10"] == model.ndcg_at_10 < named["ndcg_at_10_high"]
    lead = found.compared.lead_over(POPULARITY)
    assert lead is not None
    assert lead.mean == pytest.approx(model.ndcg_at_10 - popularity.ndcg_at_10)
    assert found.compared.leads[Figure(STRANGERS, ALL, AUC)].is_above_zero
    assert named["auc_over_strangers_low"] > 0


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
        pytest.param(constant, "another user's ranking is as good", id="constant scores, nobody told apart"),
        pytest.param(upside_down, "is not above", id="the wrong way round"),
        pytest.param(infinite, "not finite", id="infinite"),
    ],
)
def test_a_bad_model_is_refused(fit: Callable[[Dataset], FactorModel], words: str) -> None:
    assert words in (evaluate(parted(), fit, JUDGED).refusal or "")


def test_too_little_data_is_refused_before_anything_is_fitted() -> None:
    def never(_: Dataset) -> FactorModel:
        raise AssertionError

    rules = replace(JUDGED, gate=replace(GATE, min_interactions=10_000))
    found = evaluate(parted(), never, rules)
    assert (found.refusal, found.named()) == ("600 interactions, at least 10000 are needed", {})


def test_the_prior_is_fresh_popularity_in_place_of_a_share_of_the_bias() -> None:
    train = parted().train
    bias = np.arange(VIDEOS, dtype=np.float32)
    model = fold_biases(learned(np.zeros(USERS), np.zeros(USERS)), learned(bias, np.zeros(VIDEOS)), NO_HISTORY)
    expected = 0.4 * np.log1p(train.recent_views) - 0.5 * bias
    assert item_prior(train, model, PriorRules(0.4, 0.5)) == pytest.approx(expected, abs=1e-5)


def test_a_model_of_a_shuffled_log_is_refused_though_its_videos_are_the_popular_ones() -> None:
    """Users and videos paired at random: who is who says nothing, whatever popularity is worth."""
    log = two_tastes()
    rng = np.random.default_rng(4)
    popular = np.minimum(rng.geometric(0.15, len(log)) - 1, VIDEOS - 1).astype(np.int32)
    parts = split(replace(log, video=popular), DURATIONS, SPLIT)

    def noise_and_popularity(_: Dataset) -> FactorModel:
        user, video = learned(np.zeros(USERS), rng.normal(size=USERS)), rng.normal(size=VIDEOS) * 0.05
        return fold_biases(user, learned(-np.arange(VIDEOS) * 0.2, video), NO_HISTORY)

    found = evaluate(
        parts, noise_and_popularity, replace(JUDGED, gate=replace(GATE, popularity_ratio=0, max_overlap=0.999))
    )
    assert "another user's ranking is as good" in (found.refusal or "")
    assert found.metrics(MODEL).ndcg_at_10 > 0.2, "it knows what is popular"


@pytest.mark.parametrize(
    ("known_days", "first_test_day", "is_after_live"),
    [
        pytest.param(None, 7, False, id="no live model"),
        pytest.param(3.0, 7, True, id="an old one knows nothing of the last two days"),
        pytest.param(8.001, 8, True, id="one of last night: the day since"),
        pytest.param(9.0, 7, False, id="one that knows all but the last minute"),
        pytest.param(99.0, 7, False, id="one from the future"),
    ],
)
def test_the_test_begins_after_what_the_live_model_knows(
    known_days: float | None, first_test_day: int, is_after_live: bool
) -> None:
    """Nothing that it was trained on is in the test, and the model to be is fitted on no more than it."""
    known_until_s = None if known_days is None else known_days * DAY_S
    parts = split(two_tastes(), DURATIONS, SPLIT, known_until_s)
    assert parts.at_s // DAY_S == first_test_day
    assert parts.is_after_live is is_after_live
    assert parts.train.positives.time_s.max() < parts.at_s
    if known_until_s is not None and is_after_live:
        assert parts.at_s > known_until_s


def test_the_test_is_not_moved_where_too_few_users_are_left() -> None:
    parts = split(two_tastes(), DURATIONS, replace(SPLIT, min_users=USERS + 1), 8.001 * DAY_S)
    assert (parts.at_s // DAY_S, parts.is_after_live) == (7, False)


def scores_of(model: FactorModel) -> Scores:
    return Scores(model.user_factors, model.item_factors, np.zeros(VIDEOS, np.float32))


def test_a_model_worse_than_the_live_one_is_refused() -> None:
    """Popularity of a day is no bar here: of the two only the live model knows the tastes."""

    def mixed_up(dataset: Dataset) -> FactorModel:
        """Knows the taste of three users of four."""
        model = taste_model(dataset)
        wrong = np.where(np.arange(USERS) % 4 == 0, -1.0, 1.0).astype(np.float32)
        return replace(model, user_factors=model.user_factors * wrong[:, None])

    parts = parted()
    live = scores_of(taste_model(parts.train))
    worse = evaluate(parts, mixed_up, JUDGED, live)
    assert worse.refusal is not None
    assert worse.refusal.startswith("worse than the live model beyond noise: NDCG@10 differs by -0.")
    assert worse.named()["live_ndcg_at_10"] == worse.metrics(LIVE).ndcg_at_10 > worse.metrics(MODEL).ndcg_at_10
    assert evaluate(parts, mixed_up, JUDGED).refusal is None, "without a live model it is good enough"
    assert evaluate(parts, taste_model, JUDGED, live).refusal is None, "as good as the live one"
    assert evaluate(parts, taste_model, JUDGED, scores_of(mixed_up(parts.train))).refusal is None, "better"


def test_a_log_with_half_its_days_missing_is_refused() -> None:
    log = two_tastes()
    halved = log.rows((log.time_s // DAY_S) % 2 == 0)
    found = evaluate(split(halved, DURATIONS, SPLIT), taste_model, JUDGED)
    assert found.refusal == "4 of the log's 9 days have no interaction (bound 25%)"


def test_a_test_is_named_by_its_users_and_positives() -> None:
    """More of the past, or users and videos nobody measures, change nothing; other positives do."""
    log, parts = two_tastes(), parted()
    name = name_of_test(parts, log.user_ids, log.video_ids)
    less = split(log.rows(log.time_s > DAY_S), DURATIONS, SPLIT)
    assert name_of_test(less, log.user_ids, log.video_ids) == name
    longer = split(log, DURATIONS, replace(SPLIT, test_days=3.0))
    assert name_of_test(longer, log.user_ids, log.video_ids) != name
    other = text_table([f"w{number:03}" for number in range(VIDEOS)])
    assert name_of_test(parts, log.user_ids, other) != name
