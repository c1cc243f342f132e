"""The prior of a model, made anew from what is watched now."""

from runtime.models.model_bundle import Floats, ModelBundle
from runtime.models.popularity import Popularity, prior_of

# What the trainer chose on validation, in the manifest's params.
_RECENT_WEIGHT = "recent_weight"
_BIAS_SHARE = "bias_share"


def fresh_prior(bundle: ModelBundle, popularity: Popularity) -> Floats | None:
    """Returns the prior by this count, float32, shape (n_videos,); None when the model's own is better.

    That is so when the model was trained on newer interactions, and when an index proposes its candidates: the index
    was built with the model's own.
    """
    params, arrays = bundle.manifest.params, bundle.arrays
    weight, share = params.get(_RECENT_WEIGHT), params.get(_BIAS_SHARE)
    if popularity.counted_until <= bundle.manifest.data_until or bundle.manifest.index is not None:
        return None
    if not isinstance(weight, int | float) or not isinstance(share, int | float):
        return None
    return prior_of(popularity.views_of(arrays.video_ids), arrays.item_factors[:, 0], weight, share)
