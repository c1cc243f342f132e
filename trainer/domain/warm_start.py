"""What a fit begins with when it begins with a published model instead of with chance."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import BIAS_COLUMNS, UNKNOWN_CODE, Codes, Floats, ModelArrays, Texts, find_text_rows
from trainer.domain.dataset import Lists
from trainer.domain.model import Learned, said_by_likes


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a model says of some of the rows of a table.

    Args:
        rows: int64: which rows of the table it knows.
        learned: Their biases and embeddings, in the order of `rows`.
    """

    rows: npt.NDArray[np.int64]
    learned: Learned


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A published model by the tables of a log.

    Args:
        users: What is known of users beside what they liked.
        videos: The videos.
        history: What each of them, liked, says of its user.
    """

    users: Known
    videos: Known
    history: Known


def start_of(arrays: ModelArrays, user_ids: Texts, video_ids: Texts) -> Start:
    """Lays a published model out by the tables of a log; what only one of the two knows is left out.

    Args:
        arrays: The model.
        user_ids: Sorted text table of the log.
        video_ids: Sorted text table of the log.
    """
    user, video = find_text_rows(arrays.user_ids, user_ids), find_text_rows(arrays.video_ids, video_ids)
    likes = Lists(arrays.history_offsets, arrays.history_items)
    own = arrays.user_factors - said_by_likes(arrays.history_factors, likes)
    return Start(
        _known(user, own, bias_column=1),
        _known(video, arrays.item_factors, bias_column=0),
        _known(video, arrays.history_factors, bias_column=1),
    )


def _known(place: Codes, factors: Floats, bias_column: int) -> Known:
    """Takes the rows that a table shares with a model.

    Args:
        place: int32, row of `factors` for each row of the table, or UNKNOWN_CODE.
        factors: float32, shape (n, d + 2).
        bias_column: Which of the first two columns is the bias.
    """
    rows = np.flatnonzero(place != UNKNOWN_CODE)
    taken = factors[place[rows]]
    return Known(rows, Learned(taken[:, bias_column], taken[:, BIAS_COLUMNS:]))
