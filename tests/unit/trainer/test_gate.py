"""What the gate lets pass."""

import dataclasses
from typing import Any

import pytest

from trainer.domain.gate import DataFacts, GateRules, refuse_data, refuse_model
from trainer.domain.ranking_metrics import RankingMetrics

RULES = GateRules(
    min_interactions=1000,
    min_users=50,
    min_videos=20,
    min_test_users=10,
    popularity_ratio=1.0,
    min_coverage=0.01,
    max_overlap=0.8,
)
GOOD = RankingMetrics(0.06, 0.3, 0.02, 0.15, 0.2, 0.05, users=1000)
POPULARITY = RankingMetrics(0.03, 0.15, 0.01, 0.08, 0.003, 0.9, users=1000)
ENOUGH = DataFacts(1000, 50, 20, 10)


@pytest.mark.parametrize(
    ("changes", "finite", "words"),
    [
        pytest.param({}, True, None, id="good"),
        pytest.param({"ndcg_at_10": 0.03}, True, "NDCG@10 0.0300 is not above 0.0300", id="only popularity"),
        pytest.param({"ndcg_at_10": float("nan")}, True, "NDCG@10 nan is not above", id="no number"),
        pytest.param({"coverage_at_10": 0.001}, True, "only 0.10% of the videos", id="few videos"),
        pytest.param({"overlap_at_10": 0.95}, True, "two users share 95%", id="the same for everybody"),
        pytest.param({}, False, "not finite", id="broken numbers"),
    ],
)
def test_a_model(changes: dict[str, Any], finite: bool, words: str | None) -> None:
    refusal = refuse_model(dataclasses.replace(GOOD, **changes), POPULARITY, RULES, videos=5000, is_finite=finite)
    assert (refusal is None) if words is None else (words in (refusal or ""))


def test_coverage_is_of_the_videos_that_so_many_users_could_be_shown() -> None:
    """100 users have 1,000 places: 0.05 % of a million videos is half of what they could show."""
    few = dataclasses.replace(GOOD, coverage_at_10=0.0005, users=100)
    assert refuse_model(few, POPULARITY, RULES, videos=1_000_000, is_finite=True) is None


def test_every_reason_is_given() -> None:
    refusal = refuse_model(POPULARITY, GOOD, RULES, videos=5000, is_finite=True)
    assert refusal is not None
    assert refusal.count(";") == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, None, id="enough"),
        pytest.param({"interactions": 999}, "999 interactions, at least 1000", id="interactions"),
        pytest.param({"users": 0}, "0 users with a positive, at least 50", id="users"),
        pytest.param({"videos": 19}, "19 videos with a positive", id="videos"),
        pytest.param({"test_users": 9}, "9 users to measure on", id="test users"),
    ],
)
def test_data(changes: dict[str, int], words: str | None) -> None:
    refusal = refuse_data(dataclasses.replace(ENOUGH, **changes), RULES)
    assert (refusal is None) if words is None else (words in (refusal or ""))
