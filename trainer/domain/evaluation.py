"""A model measured on a time split, beside popularity and the model that serves."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from runtime.models.model_bundle import Codes, Floats, Texts
from trainer.domain.bootstrap import Interval
from trainer.domain.comparison import AUC, NDCG, NOTHING_COMPARED, Comparison, Figure, compare
from trainer.domain.dataset import Dataset, DatasetRules, Lists, Positives, build_dataset, lists_of, positive_pairs
from trainer.domain.gate import NOT_FINITE, DataFacts, GateRules, ModelFacts, refuse_data, refuse_model
from trainer.domain.log import DailyCounts, InteractionLog, split_time_after_s, split_time_s
from trainer.domain.model import FactorModel, PriorRules, item_prior
from trainer.domain.ranking import Rankings, Scores, rank
from trainer.domain.ranking_metrics import RankingMetrics, Truth, measure
from trainer.domain.segments import ALL, segments_of

# Names of rankings: the model to be, the better popularity, the model that serves, and the model to be where each user
# is taken for another one.
MODEL: Final = "model"
POPULARITY: Final = "popularity"
LIVE: Final = "live"
STRANGERS: Final = "strangers"


@dataclass(frozen=True, slots=True)
class SplitRules:
    """How a log is parted.

    Args:
        dataset: How datasets are built.
        test_days: Length of the test, days.
        max_users: Most users to measure; of more, every n-th.
        min_users: Fewest users for whom the test is moved behind what the live model knows.
    """

    dataset: DatasetRules
    test_days: float
    max_users: int
    min_users: int


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A log parted by time.

    Args:
        at_s: Epoch seconds of the first moment of the test.
        train: Dataset of what came before.
        truth: The pairs liked afterwards and not before, and the users to measure; each has at least one.
        facts: How much there is to learn from.
        daily: How many interactions each day of the whole log has.
        is_after_live: Whether the live model knows nothing of the test.
    """

    at_s: float
    train: Dataset
    truth: Truth
    facts: DataFacts
    daily: DailyCounts
    is_after_live: bool = False


@dataclass(frozen=True, slots=True)
class EvaluationRules:
    """How a model is judged: its prior, the gate, and the seed of everything that is drawn."""

    prior: PriorRules
    gate: GateRules
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What came of measuring.

    Args:
        refusal: Why the model must not serve.
        at_s: Epoch seconds from which it was measured.
        facts: How much there was to learn from.
        daily: How many interactions each day has.
        compared: The model beside the others; empty when none was measured.
    """

    refusal: str | None
    at_s: float
    facts: DataFacts
    daily: DailyCounts
    compared: Comparison = NOTHING_COMPARED

    def metrics(self, ranking: str) -> RankingMetrics:
        """Returns what a ranking reached.

        Raises:
            KeyError: When it was not measured.
        """
        return self.compared.measured[ranking].metrics

    def named(self) -> dict[str, float]:
        """Returns the figures by name: other rankings have a prefix, segments and ends of intervals a suffix."""
        named: dict[str, float] = {}
        for ranking, prefix in ((MODEL, ""), (POPULARITY, "popularity_"), (LIVE, "live_")):
            if ranking in self.compared.measured:
                named |= self.metrics(ranking).named(prefix)
        for place, found in self.compared.figures.items():
            if place.ranking == MODEL and place.metric == NDCG:
                suffix = "" if place.segment == ALL else "_" + place.segment.replace(" ", "_")
                named |= _with_ends(NDCG + suffix, found)
        for ranking, metric in ((POPULARITY, NDCG), (LIVE, NDCG), (STRANGERS, AUC)):
            lead = self.compared.lead_over(ranking, metric)
            named |= _with_ends(f"{metric}_over_{ranking}", lead) if lead else {}
        return named


def split(log: InteractionLog, duration_s: Floats, rules: SplitRules, known_until_s: float | None = None) -> Split:
    """Parts a log by time: the past to learn from, the last days to measure on.

    Args:
        log: All interactions; at least one.
        duration_s: Length of each video by row of `log.video_ids`, seconds; 0 or less is unknown.
        rules: How.
        known_until_s: Time of the newest interaction that the live model was trained on. The test begins after it
            where enough is left of the test.
    """
    if known_until_s is not None:
        moved_s = split_time_after_s(log.first_s, log.last_s, rules.test_days, known_until_s)
        if moved_s is not None:
            parts = split_at(log, duration_s, rules, moved_s)
            if parts.facts.test_users >= rules.min_users:
                return replace(parts, is_after_live=True)
    return split_at(log, duration_s, rules, split_time_s(log.first_s, log.last_s, rules.test_days))


def split_at(log: InteractionLog, duration_s: Floats, rules: SplitRules, at_s: float) -> Split:
    """Parts a log at a time, epoch seconds; see `split`."""
    train = build_dataset(log.before(at_s), duration_s, rules.dataset, at_s)
    later = positive_pairs(log.since(at_s), duration_s, rules.dataset.signal, log.last_s)
    positives = _without(later, train)
    users = np.flatnonzero(positives.lengths()).astype(np.int32)
    daily = log.daily()
    facts = DataFacts(
        interactions=len(log),
        users=len(np.unique(train.positives.user)),
        videos=len(np.unique(train.positives.video)),
        test_users=len(users),
        days=len(daily.counts),
        missing_days=daily.missing,
    )
    measured = users[:: max(1, -(-len(users) // rules.max_users))]
    return Split(
        at_s,
        train,
        Truth(measured, positives, np.bincount(train.positives.video, minlength=train.videos)),
        facts,
        daily,
    )


def evaluate(
    parts: Split, fit: Callable[[Dataset], FactorModel], rules: EvaluationRules, live: Scores | None = None
) -> Evaluation:
    """Fits on the past and measures on the last days, as served: everything seen is left out.

    Args:
        parts: The log, parted.
        fit: Fits a model.
        rules: How it is judged.
        live: The model that serves, which must know nothing of the test; None: it is not compared.
    """
    found = Evaluation(refuse_data(parts.facts, rules.gate), parts.at_s, parts.facts, parts.daily)
    if found.refusal:
        return found
    model = fit(parts.train)
    if not model.is_finite():
        return replace(found, refusal=NOT_FINITE)
    scores = Scores(model.user_factors, model.item_factors, item_prior(parts.train, model, rules.prior))
    rankings = {
        MODEL: ranked(parts, scores),
        POPULARITY: _best_popularity(parts),
        STRANGERS: ranked(parts, _for_strangers(scores, parts.truth.users, rules.seed)),
        **({LIVE: ranked(parts, live)} if live is not None else {}),
    }
    compared = compare(rankings, parts.truth, segments_of(parts.train, parts.truth), rules.seed)
    return replace(found, refusal=_refused(parts, compared, rules.gate), compared=compared)


def ranked(parts: Split, scores: Scores) -> Rankings:
    """Ranks for the users to measure; what they had seen before the test is left out."""
    return rank(scores, parts.train.seen, parts.truth.positives, parts.truth.users)


def _refused(parts: Split, compared: Comparison, rules: GateRules) -> str | None:
    facts = ModelFacts(
        compared.measured[MODEL].metrics,
        compared.measured[POPULARITY].metrics,
        parts.train.videos,
        compared.leads[Figure(STRANGERS, ALL, AUC)],
        compared.lead_over(LIVE),
    )
    return refuse_model(facts, rules)


def _best_popularity(parts: Split) -> Rankings:
    """Ranks by all-time and by recent popularity; returns the one with the better NDCG."""
    train = parts.train
    everybody = np.zeros((train.users, 1), np.float32)
    nothing = np.zeros((train.videos, 1), np.float32)
    tried = [
        ranked(parts, Scores(everybody, nothing, counts.astype(np.float32)))
        for counts in (parts.truth.likes, train.recent_views)
    ]
    return max(tried, key=lambda each: measure(each, parts.truth).metrics.ndcg_at_10)


def _for_strangers(scores: Scores, users: Codes, seed: int) -> Scores:
    """Gives each measured user the factors of another one."""
    order = np.random.default_rng(seed).permutation(users)
    factors = scores.user_factors.copy()
    factors[order] = scores.user_factors[np.roll(order, 1)]
    return replace(scores, user_factors=factors)


def _without(later: Positives, train: Dataset) -> Lists:
    earlier = train.positives.user.astype(np.int64) * train.videos + train.positives.video
    is_new = ~np.isin(later.user.astype(np.int64) * train.videos + later.video, earlier)
    return lists_of(train.users, later.user[is_new], later.video[is_new])


def _with_ends(name: str, found: Interval) -> dict[str, float]:
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}


def name_of_test(parts: Split, user_ids: Texts, video_ids: Texts) -> str:
    """Names a test: the same users with the same positives have the same name, whatever else the log holds."""
    _, video = parts.truth.positives.pairs_of(parts.truth.users)
    lengths = parts.truth.positives.lengths()[parts.truth.users]
    names = [b"\0".join(table.tolist()) for table in (user_ids[parts.truth.users], video_ids[video])]
    return hashlib.sha256(b"\1".join([*names, lengths.tobytes()])).hexdigest()
