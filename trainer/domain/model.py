"""A fitted model as the factors that a bundle stores, and the prior beside them."""

from dataclasses import dataclass

import numpy as np

from runtime.model_bundle import Floats
from runtime.popularity import prior_of
from trainer.domain.dataset import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel:
    """Representations whose dot products are the model's scores.

    Args:
        user_factors: float32, shape (n_users, d + 2), columns (1, bias, embedding).
        item_factors: float32, shape (n_videos, d + 2), columns (bias, 1, embedding).
        history_factors: float32, shape (n_videos, d + 2), columns (0, bias, embedding): what a liked video says of its
            user; see `runtime.model_bundle.ModelArrays`.
    """

    user_factors: Floats
    item_factors: Floats
    history_factors: Floats

    def is_finite(self) -> bool:
        """Tells whether every number is finite."""
        return all(
            bool(np.isfinite(each).all()) for each in (self.user_factors, self.item_factors, self.history_factors)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A bias and an embedding for each of something.

    Args:
        bias: float32, shape (n,).
        embedding: float32, shape (n, d).
    """

    bias: Floats
    embedding: Floats


def fold_biases(users: Learned, items: Learned, history: Learned) -> FactorModel:
    """Puts the biases into columns of their own, so that user row @ item row is the whole score.

    Args:
        users: Whole representations of the users.
        items: Those of the videos.
        history: What each video, liked, adds to its user's.
    """
    return FactorModel(
        np.column_stack([np.ones_like(users.bias), users.bias, users.embedding]).astype(np.float32),
        np.column_stack([items.bias, np.ones_like(items.bias), items.embedding]).astype(np.float32),
        np.column_stack([np.zeros_like(history.bias), history.bias, history.embedding]).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class PriorRules:
    """How fresh popularity enters the score.

    Args:
        recent_weight: Weight of log(1 + recent long views).
        bias_share: Share of a video's learned bias that this takes the place of, 0 to 1. The bias is popularity over
            the whole log: with less of it more videos reach a page (last 2 days of KuaiRand, 7,394 users: with 0.5
            instead of 0.3 22.8 % instead of 21.4 % of all videos are in a top 10, at NDCG@10 0.0636 and 0.0640).
    """

    recent_weight: float
    bias_share: float


def item_prior(dataset: Dataset, model: FactorModel, rules: PriorRules) -> Floats:
    """Returns what is added to every user's score of each video, float32, shape (n_videos,)."""
    return prior_of(dataset.recent_views, model.item_factors[:, 0], rules.recent_weight, rules.bias_share)
