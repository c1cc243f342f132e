"""A fitted model as the factors that a bundle stores, and the prior beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from runtime.models.model_bundle import BIAS_COLUMNS, Floats
from runtime.models.popularity import prior_of
from trainer.domain.dataset import Dataset, Lists

# How far the scores of one user are apart where an algorithm has no scale of its own, so that the prior, which is added
# to them, means the same with each. LightFM's are 1.3 apart; from 0.7 to 2.5 it made next to no difference (KuaiRand,
# validated on the two days before the last two).
SPREAD: Final = 1.0

# Users whose sums are taken at a time: with 30 videos each of 64 dimensions 32 MB.
_BLOCK_USERS: Final = 4096

# Directions in which sums of videos' factors hardly differ say nothing of the users'.
_LEAST_SHARE: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel:
    """Representations whose dot products are the model's scores.

    Args:
        user_factors: float32, shape (n_users, d + 2), columns (1, bias, embedding).
        item_factors: float32, shape (n_videos, d + 2), columns (bias, 1, embedding).
        history_factors: float32, shape (n_videos, d + 2), columns (0, bias, embedding): what a liked video says of its
            user; see `runtime.models.model_bundle.ModelArrays`.
    """

    user_factors: Floats
    item_factors: Floats
    history_factors: Floats

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return int(self.user_factors.shape[1]) - BIAS_COLUMNS

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


def unbiased(embedding: Floats) -> Learned:
    """Returns embeddings, float32, shape (n, d), with biases of 0."""
    return Learned(np.zeros(len(embedding), np.float32), embedding)


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


def nearest_map(given: Floats, wanted: Floats) -> Floats:
    """Finds the matrix with which `given @ matrix` comes nearest to `wanted`, by least squares.

    Args:
        given: float32, shape (n, d).
        wanted: float32, shape (n, e).

    Returns:
        float32, shape (d, e); zeros where nothing is given.
    """
    rows = given.astype(np.float64)
    solved, *_ = np.linalg.lstsq(rows.T @ rows, rows.T @ wanted, rcond=_LEAST_SHARE)
    return np.asarray(solved, np.float32)


def spread_of(model: FactorModel) -> float:
    """Returns how far a user's scores are apart: their standard deviation, root mean square over users with factors."""
    embedding = model.user_factors[:, BIAS_COLUMNS:]
    users = model.user_factors[embedding.any(axis=1)].astype(np.float64)
    if not len(users):
        return 0.0
    apart = model.item_factors - model.item_factors.mean(axis=0, dtype=np.float64)
    variance = ((users @ (apart.T @ apart)) * users).sum(axis=1) / len(apart)
    return float(np.sqrt(variance.mean()))


def spread_alike(model: FactorModel) -> FactorModel:
    """Returns the model with scores that are SPREAD apart; one whose scores are all the same stays as it is."""
    spread = spread_of(model)
    return scaled(model, SPREAD / spread) if spread > 0 else model


def scaled(model: FactorModel, by: float) -> FactorModel:
    """Returns a model whose scores are so many times those of another."""
    users, items = model.user_factors.copy(), model.item_factors.copy()
    users[:, 1:] *= np.float32(by)
    items[:, 0] *= np.float32(by)
    return FactorModel(users, items, model.history_factors * np.float32(by))


def added_up(models: Sequence[FactorModel]) -> FactorModel:
    """Returns a model whose scores are the sums of those of others, folded-in likes included; at least one."""
    return fold_biases(
        _side_by_side([each.user_factors for each in models], bias_column=1),
        _side_by_side([each.item_factors for each in models], bias_column=0),
        _side_by_side([each.history_factors for each in models], bias_column=1),
    )


def _side_by_side(factors: Sequence[Floats], bias_column: int) -> Learned:
    biases = np.column_stack([each[:, bias_column] for each in factors])
    return Learned(biases.sum(axis=1), np.hstack([each[:, BIAS_COLUMNS:] for each in factors]))


def said_by_likes(history_factors: Floats, liked: Lists) -> Floats:
    """Returns what the videos that each user liked say of the user: their sum over the square root of their number.

    Args:
        history_factors: float32, shape (n_videos, columns).
        liked: One list a user.

    Returns:
        float32, shape (n_users, columns); zeros for an empty list.
    """
    lengths = liked.lengths()
    said = np.zeros((len(lengths), history_factors.shape[1]), np.float32)
    speaking = np.flatnonzero(lengths).astype(np.int32)
    for start in range(0, len(speaking), _BLOCK_USERS):
        users = speaking[start : start + _BLOCK_USERS]
        own = lengths[users]
        rows = history_factors[liked.pairs_of(users)[1]]
        said[users] = np.add.reduceat(rows, np.cumsum(own) - own) / np.sqrt(own, dtype=np.float32)[:, None]
    return said


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
