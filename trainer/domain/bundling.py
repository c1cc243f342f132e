"""A fitted model laid out as the arrays of a bundle."""

from dataclasses import fields

from runtime.models.model_bundle import Floats, ModelArrays, Texts
from trainer.domain.catalogue import CatalogueArrays
from trainer.domain.dataset import Dataset
from trainer.domain.model import FactorModel
from trainer.domain.user_features import FeatureModel


def model_arrays(
    user_ids: Texts,
    video_ids: Texts,
    dataset: Dataset,
    model: FactorModel,
    prior: Floats,
    catalogue: CatalogueArrays,
    features: FeatureModel,
) -> ModelArrays:
    """Puts a model together with everything that ranking needs beside it.

    Args:
        user_ids: Text table, row = user_index.
        video_ids: Text table, row = item_index.
        dataset: What the model was fitted on, for what users have seen.
        model: The factors.
        prior: float32, shape (n_videos,), added to every user's score.
        catalogue: The catalogue, by row of `video_ids`.
        features: What is known of users beside, and what it says.
    """
    return ModelArrays(
        user_ids=user_ids,
        video_ids=video_ids,
        user_factors=model.user_factors,
        item_factors=model.item_factors,
        item_prior=prior,
        history_factors=model.history_factors,
        history_offsets=dataset.history.offsets,
        history_items=dataset.history.videos,
        features=features.table,
        feature_factors=features.factors,
        seen_offsets=dataset.seen.offsets,
        seen_items=dataset.seen.videos,
        **{each.name: getattr(catalogue, each.name) for each in fields(catalogue)},
    )
