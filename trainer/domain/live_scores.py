"""A published model as something that ranks the videos of another log."""

from typing import Final

import numpy as np

from runtime.models.model_bundle import BIAS_COLUMNS, UNKNOWN_CODE, Codes, Floats, ModelArrays, Texts, find_text_rows
from trainer.domain.ranking import Scores

# A video that the model does not know comes after all that it knows.
_UNKNOWN_VIDEO: Final = -1e30


def published_scores(arrays: ModelArrays, user_ids: Texts, video_ids: Texts) -> Scores:
    """Lays a published model out by the tables of a log.

    A user it does not know is ranked by popularity, as one without likes; see `adapters/fit_lightfm.py`.

    Args:
        arrays: The model.
        user_ids: Sorted text table of the log.
        video_ids: Sorted text table of the log.
    """
    stranger = np.zeros((1, arrays.user_factors.shape[1]), np.float32)
    stranger[0, : BIAS_COLUMNS - 1] = 1.0
    user, video = find_text_rows(arrays.user_ids, user_ids), find_text_rows(arrays.video_ids, video_ids)
    prior = np.where(video == UNKNOWN_CODE, _UNKNOWN_VIDEO, arrays.item_prior[video]).astype(np.float32)
    return Scores(_taken(arrays.user_factors, user, stranger), arrays.item_factors[video], prior)


def _taken(factors: Floats, rows: Codes, otherwise: Floats) -> Floats:
    if not len(factors):
        return np.repeat(otherwise, len(rows), 0)
    return np.where((rows == UNKNOWN_CODE)[:, None], otherwise, factors[rows])
