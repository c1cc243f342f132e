"""A published model as something that ranks the videos of another log."""

from typing import Final

import numpy as np

from runtime.model_bundle import BIAS_COLUMNS, Codes, Floats, ModelArrays, Texts
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
    user, video = _rows(arrays.user_ids, user_ids), _rows(arrays.video_ids, video_ids)
    prior = np.where(video < 0, _UNKNOWN_VIDEO, arrays.item_prior[video]).astype(np.float32)
    return Scores(_taken(arrays.user_factors, user, stranger), arrays.item_factors[video], prior)


def _taken(factors: Floats, rows: Codes, otherwise: Floats) -> Floats:
    return (
        np.where((rows < 0)[:, None], otherwise, factors[rows]) if len(factors) else np.repeat(otherwise, len(rows), 0)
    )


def _rows(table: Texts, wanted: Texts) -> Codes:
    """Returns the row of each wanted text, -1 where the table does not have it."""
    if not len(table):
        return np.full(len(wanted), -1, np.int32)
    rows = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return np.where(table[rows] == wanted, rows, -1).astype(np.int32)
