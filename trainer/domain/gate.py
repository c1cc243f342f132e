"""Whether a fitted model may serve."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from trainer.domain.bootstrap import Interval
from trainer.domain.ranking_metrics import TOP, RankingMetrics

NOT_FINITE: Final = "a number of the model is not finite"

_WHY_ALIKE: Final = "so the model has collapsed or the log pairs users and videos at random"


@dataclass(frozen=True, slots=True)
class GateRules:
    """The bounds of the gate.

    Args:
        min_interactions: Fewest interactions worth learning from.
        min_users: Fewest users with a positive.
        min_videos: Fewest videos with a positive.
        min_test_users: Fewest users to measure on.
        popularity_ratio: NDCG@10 must be more than this times popularity's.
        min_coverage: Least share in somebody's first ten, of the videos that so many users could be shown.
        max_overlap: Most that two users' first ten may have in common; above, everybody gets the same. 1: everybody
            may, and a model need not tell one user from another.
        max_missing_days: Largest share of the log's days, from the first to the last, without an interaction.
    """

    min_interactions: int
    min_users: int
    min_videos: int
    min_test_users: int
    popularity_ratio: float
    min_coverage: float
    max_overlap: float
    max_missing_days: float


@dataclass(frozen=True, slots=True)
class DataFacts:
    """How much there is to learn from.

    Args:
        interactions: Interactions in the log.
        users: Users with a positive.
        videos: Videos with a positive.
        test_users: Users with something new to be found.
        days: Days from the first of the log to the last.
        missing_days: Those of them without an interaction.
    """

    interactions: int
    users: int
    videos: int
    test_users: int
    days: int
    missing_days: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What was found of a model.

    Args:
        model: What it reached.
        popularity: What the better of two popularities reached with the same users.
        videos: How many videos there are.
        over_strangers: Its lead in AUC over itself, when each user is taken for another one: of all metrics the one
            that tells most surely, for it looks at every positive.
        over_live: Its lead in NDCG@10 over the model that serves; None where they could not be compared.
    """

    model: RankingMetrics
    popularity: RankingMetrics
    videos: int
    over_strangers: Interval
    over_live: Interval | None


def refuse_data(facts: DataFacts, rules: GateRules) -> str | None:
    """Says why the data is too little to learn from, or broken; None when it is good enough."""
    checks = (
        ("interactions", facts.interactions, rules.min_interactions),
        ("users with a positive", facts.users, rules.min_users),
        ("videos with a positive", facts.videos, rules.min_videos),
        ("users to measure on", facts.test_users, rules.min_test_users),
    )
    lacking = [f"{have} {what}, at least {least} are needed" for what, have, least in checks if have < least]
    if facts.missing_days > rules.max_missing_days * facts.days:
        bound = f"(bound {rules.max_missing_days:.0%})"
        lacking.append(f"{facts.missing_days} of the log's {facts.days} days have no interaction {bound}")
    return "; ".join(lacking) or None


def refuse_model(facts: ModelFacts, rules: GateRules) -> str | None:
    """Says why a model must not serve; None when it may."""
    return "; ".join(_faults(facts, rules)) or None


def _faults(facts: ModelFacts, rules: GateRules) -> Iterator[str]:
    model, bound = facts.model, rules.popularity_ratio * facts.popularity.ndcg_at_10
    if not model.ndcg_at_10 > bound:
        yield f"NDCG@10 {model.ndcg_at_10:.4f} is not above {bound:.4f}, which popularity reaches"
    if rules.max_overlap < 1 and not facts.over_strangers.is_above_zero:
        yield f"another user's ranking is as good: AUC differs by {_told(facts.over_strangers)}, {_WHY_ALIKE}"
    covered = model.coverage_at_10 * facts.videos / min(facts.videos, TOP * model.users)
    if covered < rules.min_coverage:
        yield f"only {covered:.2%} of the videos are in a top 10 (bound {rules.min_coverage:.2%})"
    if model.overlap_at_10 > rules.max_overlap:
        yield f"two users share {model.overlap_at_10:.0%} of their top 10 (bound {rules.max_overlap:.0%})"
    if facts.over_live is not None and facts.over_live.is_below_zero:
        yield f"worse than the live model beyond noise: NDCG@10 differs by {_told(facts.over_live)}"


def _told(lead: Interval) -> str:
    return f"{lead.mean:+.4f}, 95 % interval {lead.low:+.4f} to {lead.high:+.4f}"
