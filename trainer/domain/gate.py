"""Whether a fitted model may serve."""

from dataclasses import dataclass

from trainer.domain.ranking_metrics import TOP, RankingMetrics


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
        max_overlap: Most that two users' first ten may have in common; above, everybody gets the same.
    """

    min_interactions: int
    min_users: int
    min_videos: int
    min_test_users: int
    popularity_ratio: float
    min_coverage: float
    max_overlap: float


@dataclass(frozen=True, slots=True)
class DataFacts:
    """How much there is to learn from: interactions, and the users and videos with a positive."""

    interactions: int
    users: int
    videos: int
    test_users: int


def refuse_data(facts: DataFacts, rules: GateRules) -> str | None:
    """Says why the data is too little to learn from; None when it is enough."""
    checks = (
        ("interactions", facts.interactions, rules.min_interactions),
        ("users with a positive", facts.users, rules.min_users),
        ("videos with a positive", facts.videos, rules.min_videos),
        ("users to measure on", facts.test_users, rules.min_test_users),
    )
    lacking = [f"{have} {what}, at least {least} are needed" for what, have, least in checks if have < least]
    return "; ".join(lacking) or None


def refuse_model(
    model: RankingMetrics, popularity: RankingMetrics, rules: GateRules, *, videos: int, is_finite: bool
) -> str | None:
    """Says why a model must not serve; None when it may.

    Args:
        model: What the model reached.
        popularity: What the better of two popularities reached on the same users.
        rules: The bounds.
        videos: How many videos there are.
        is_finite: Whether every number of the model is finite.
    """
    if not is_finite:
        return "a number of the model is not finite"
    bound = rules.popularity_ratio * popularity.ndcg_at_10
    reasons = []
    if not model.ndcg_at_10 > bound:
        reasons.append(f"NDCG@10 {model.ndcg_at_10:.4f} is not above {bound:.4f}, which popularity reaches")
    covered = model.coverage_at_10 * videos / min(videos, TOP * model.users)
    if covered < rules.min_coverage:
        reasons.append(f"only {covered:.2%} of the videos are in a top 10 (bound {rules.min_coverage:.2%})")
    if model.overlap_at_10 > rules.max_overlap:
        reasons.append(f"two users share {model.overlap_at_10:.0%} of their top 10 (bound {rules.max_overlap:.0%})")
    return "; ".join(reasons) or None
