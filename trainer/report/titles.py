"""What metrics are called, and what they mean."""

from typing import Final

# Name and meaning, in the order in which they are told.
TITLES: Final = {
    "ndcg_at_10": ("NDCG@10", "how high in the first ten a user's positives are; 1 is best"),
    "recall_at_50": ("recall@50", "share of a user's positives that are in the first fifty"),
    "map_at_10": ("MAP@10", "precision at each positive of the first ten, mean"),
    "auc": ("AUC", "share of the other videos that a positive is ranked above; 0.5 is chance"),
    "precision_at_10": ("precision@10", "share of the first ten that are positives"),
    "hit_rate_at_10": ("hit rate@10", "share of users with a positive in the first ten"),
    "novelty_at_10": ("novelty@10", "bits: how rare likes of the first ten were before; more is rarer"),
    "popularity_bias_at_10": (
        "popularity bias@10",
        "how much more popular the first ten are than what users like; 0 is none",
    ),
    "coverage_at_10": ("coverage@10", "share of all videos that are in somebody's first ten"),
    "gini_at_10": ("Gini@10", "how unevenly videos are shown: 0 all alike, 1 always the same one"),
    "overlap_at_10": ("overlap@10", "share of the first ten that two users have in common"),
}
