"""How much each video is watched now: counted beside the models, so that their prior need not wait for the next night.

The trainer counts, the scorer makes a prior of it; `runtime.models.popularity_file` writes and reads it. It belongs
to no model, as videos are named by their ids.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from runtime.models.model_bundle import Floats, Texts, find_text_rows


class PopularityError(Exception):
    """The file is not ours or not whole; the next count writes it anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Popularity:
    """Long views of late, each halved with age.

    Args:
        counted_until: Time of the newest interaction that was counted, UTC; ages are measured from it.
        last_row: Number of the last row that was counted.
        half_life_s: Age at which a view counts half, seconds.
        video_ids: Text table: the videos that were watched.
        recent_views: float32, one a row of `video_ids`.
    """

    counted_until: datetime
    last_row: int
    half_life_s: float
    video_ids: Texts
    recent_views: Floats

    def views_of(self, video_ids: Texts) -> Floats:
        """Returns the long views of each of these videos, float32; 0: none.

        Args:
            video_ids: Another text table.
        """
        rows = find_text_rows(video_ids, self.video_ids)
        views = np.zeros(len(video_ids), np.float32)
        views[rows[rows >= 0]] = self.recent_views[rows >= 0]
        return views


def prior_of(recent_views: npt.NDArray[Any], item_bias: Floats, recent_weight: float, bias_share: float) -> Floats:
    """Returns what is added to every user's score of each video, float32.

    Args:
        recent_views: Long views of late of each video.
        item_bias: What the model learned of its popularity.
        recent_weight: Weight of log(1 + recent long views).
        bias_share: Share of the bias that this takes the place of.
    """
    return np.asarray(recent_weight * np.log1p(recent_views) - bias_share * item_bias, np.float32)
