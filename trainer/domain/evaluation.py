"""A model measured on a time split, beside popularity."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runtime.model_bundle import Codes, Floats
from trainer.domain.dataset import Dataset, DatasetRules, Lists, Positives, build_dataset, lists_of, positive_pairs
from trainer.domain.gate import DataFacts, GateRules, refuse_data, refuse_model
from trainer.domain.log import InteractionLog, split_time_s
from trainer.domain.model import FactorModel, PriorRules, item_prior
from trainer.domain.ranking_metrics import RankingMetrics, rank_metrics


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A log parted by time.

    Args:
        train: Dataset of what came before.
        positives: The pairs liked afterwards, and not before.
        users: user_index of the users to measure; each has at least one positive.
        facts: How much there is to learn from.
    """

    train: Dataset
    positives: Lists
    users: Codes
    facts: DataFacts


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of measuring; `refusal` says why the model must not serve."""

    model: RankingMetrics
    popularity: RankingMetrics
    refusal: str | None

    def named(self) -> dict[str, float]:
        """Returns the metrics by name, popularity's with a prefix."""
        return {**self.model.named(), **self.popularity.named("popularity_")}


def split(log: InteractionLog, duration_s: Floats, rules: DatasetRules, test_days: float, max_users: int) -> Split:
    """Parts a log by time: the past to learn from, the last days to measure on.

    Args:
        log: All interactions; at least one.
        duration_s: Length of each video by row of `log.video_ids`, seconds; 0 or less is unknown.
        rules: How datasets are built.
        test_days: Length of the test, days.
        max_users: Most users to measure; of more, every n-th.
    """
    at_s = split_time_s(log.time_s, test_days)
    train = build_dataset(log.rows(log.time_s < at_s), duration_s, rules, at_s)
    later = positive_pairs(log.rows(log.time_s >= at_s), duration_s, rules.signal, float(log.time_s.max()))
    positives = _without(later, train)
    users = np.flatnonzero(positives.lengths()).astype(np.int32)
    facts = DataFacts(len(log), len(np.unique(train.positives.user)), len(np.unique(train.positives.video)), len(users))
    return Split(train, positives, users[:: max(1, -(-len(users) // max_users))], facts)


def evaluate(
    parts: Split, fit: Callable[[Dataset], FactorModel], prior_rules: PriorRules, gate_rules: GateRules
) -> Evaluation:
    """Fits on the past and measures on the last days, as served: everything seen is left out."""
    too_little = refuse_data(parts.facts, gate_rules)
    if too_little:
        nothing = RankingMetrics(0, 0, 0, 0, 0, 0, 0)
        return Evaluation(nothing, nothing, too_little)
    train = parts.train
    model = fit(train)
    finite = model.is_finite()
    prior = item_prior(train, model, prior_rules)
    popularity = _best_popularity(parts)
    reached = _measure(parts, model.user_factors, model.item_factors, prior) if finite else popularity
    return Evaluation(
        reached, popularity, refuse_model(reached, popularity, gate_rules, videos=train.videos, is_finite=finite)
    )


def _measure(parts: Split, user_factors: Floats, item_factors: Floats, prior: Floats) -> RankingMetrics:
    return rank_metrics(user_factors, item_factors, prior, parts.train.seen, parts.positives, parts.users)


def _best_popularity(parts: Split) -> RankingMetrics:
    """Measures all-time and recent popularity; returns the one with the better NDCG."""
    train = parts.train
    everybody = np.zeros((train.users, 1), np.float32)
    nothing = np.zeros((train.videos, 1), np.float32)
    all_time = np.bincount(train.positives.video, minlength=train.videos)
    measured = [
        _measure(parts, everybody, nothing, counts.astype(np.float32)) for counts in (all_time, train.recent_views)
    ]
    return max(measured, key=lambda metrics: metrics.ndcg_at_10)


def _without(later: Positives, train: Dataset) -> Lists:
    earlier = train.positives.user.astype(np.int64) * train.videos + train.positives.video
    is_new = ~np.isin(later.user.astype(np.int64) * train.videos + later.video, earlier)
    return lists_of(train.users, later.user[is_new], later.video[is_new])
