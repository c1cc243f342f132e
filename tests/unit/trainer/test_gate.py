"""What the gate lets pass."""

import dataclasses
from typing import Any

import pytest

from trainer.domain.bootstrap import Interval
from trainer.domain.gate import DataFacts, GateRules, ModelFacts, refuse_data, refuse_model
from trainer.domain.ranking_metrics import RankingMetrics

RULES = GateRules(
    min_interactions=1000,
    min_users=50,
    min_videos=20,
    min_test_users=10,
    popularity_ratio=1.0,
    min_coverage=0.01,
    max_overlap=0.8,
    max_missing_days=0.25,
)
GOOD = RankingMetrics(
    ndcg_at_10=0.06,
    recall_at_50=0.3,
    map_at_10=0.04,
    auc=0.9,
    precision_at_10=0.02,
    hit_rate_at_10=0.15,
    novelty_at_10=12.0,
    popularity_bias_at_10=0.1,
    coverage_at_10=0.2,
    gini_at_10=0.9,
    overlap_at_10=0.05,
    users=1000,
)
POPULARITY = dataclasses.replace(GOOD, ndcg_at_10=0.03, coverage_at_10=0.003, overlap_at_10=0.9)
AHEAD = Interval(0.03, 0.02, 0.04)
FACTS = ModelFacts(GOOD, POPULARITY, 5000, over_strangers=AHEAD, over_live=None)
ENOUGH = DataFacts(1000, 50, 20, 10, days=20, missing_days=5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, None, id="good"),
        pytest.param({"ndcg_at_10": 0.03}, "NDCG@10 0.0300 is not above 0.0300", id="only popularity"),
        pytest.param({"ndcg_at_10": float("nan")}, "NDCG@10 nan is not above", id="no number"),
        pytest.param({"coverage_at_10": 0.001}, "only 0.10% of the videos", id="few videos"),
        pytest.param({"overlap_at_10": 0.95}, "two users share 95%", id="the same for everybody"),
    ],
)
def test_a_model(changes: dict[str, Any], words: str | None) -> None:
    facts = dataclasses.replace(FACTS, model=dataclasses.replace(GOOD, **changes))
    refusal = refuse_model(facts, RULES)
    assert (refusal is None) if words is None else (words in (refusal or ""))


@pytest.mark.parametrize(
    ("lead", "is_refused"),
    [
        pytest.param(None, False, id="not compared"),
        pytest.param(Interval(-0.02, -0.03, -0.001), True, id="worse beyond noise"),
        pytest.param(Interval(-0.02, -0.05, 0.001), False, id="worse within noise"),
        pytest.param(AHEAD, False, id="better"),
    ],
)
def test_a_model_beside_the_live_one(lead: Interval | None, is_refused: bool) -> None:
    refusal = refuse_model(dataclasses.replace(FACTS, over_live=lead), RULES)
    told = "worse than the live model beyond noise: NDCG@10 differs by -0.0200, 95 % interval -0.0300 to -0.0010"
    assert refusal == (told if is_refused else None)


@pytest.mark.parametrize("lead", [Interval(0.0, 0.0, 0.0), Interval(0.01, -0.001, 0.02)])
def test_a_model_that_tells_no_user_from_another(lead: Interval) -> None:
    refusal = refuse_model(dataclasses.replace(FACTS, over_strangers=lead), RULES)
    assert "the model has collapsed or the log pairs users and videos at random" in (refusal or "")


def test_coverage_is_of_the_videos_that_so_many_users_could_be_shown() -> None:
    """100 users have 1,000 places: 0.05 % of a million videos is half of what they could show."""
    few = dataclasses.replace(GOOD, coverage_at_10=0.0005, users=100)
    assert refuse_model(dataclasses.replace(FACTS, model=few, videos=1_000_000), RULES) is None


def test_every_reason_is_given() -> None:
    behind = Interval(-0.03, -0.04, -0.02)
    refusal = refuse_model(ModelFacts(POPULARITY, GOOD, 5000, behind, behind), RULES)
    assert refusal is not None
    assert refusal.count(";") == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, None, id="enough"),
        pytest.param({"interactions": 999}, "999 interactions, at least 1000", id="interactions"),
        pytest.param({"users": 0}, "0 users with a positive, at least 50", id="users"),
        pytest.param({"videos": 19}, "19 videos with a positive", id="videos"),
        pytest.param({"test_users": 9}, "9 users to measure on", id="test users"),
        pytest.param({"missing_days": 6}, "6 of the log's 20 days have no interaction (bound 25%)", id="days"),
    ],
)
def test_data(changes: dict[str, int], words: str | None) -> None:
    refusal = refuse_data(dataclasses.replace(ENOUGH, **changes), RULES)
    assert (refusal is None) if words is None else (words in (refusal or ""))
