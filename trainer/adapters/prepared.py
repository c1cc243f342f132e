"""What engines answer to the expressions of `trainer/domain/preparation.py`, as arrays."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from runtime.models.model_bundle import Floats
from trainer.domain.log import Pairs, Sums


def lengths(duration_s: Floats) -> Any:
    """Returns the table VIDEOS, in Arrow: the length of each video by item_index."""
    return pa.table({"video": np.arange(len(duration_s), dtype=np.int32), "duration_s": duration_s})


def pairs_of(answer: Any, videos: int) -> Pairs:
    """Reads what `pairs` found, an Arrow table, and puts it in order.

    Args:
        answer: In columns user, video, weight, liked_s.
        videos: Number of videos.
    """
    user, video = (answer.column(name).to_numpy().astype(np.int32, copy=False) for name in ("user", "video"))
    order = np.argsort(user.astype(np.int64) * videos + video)
    weight = answer.column("weight").to_numpy()
    liked_s = pc.fill_null(answer.column("liked_s"), float("nan")).to_numpy()
    return Pairs(user[order], video[order], weight[order], liked_s[order])


def views_of(answer: Any, videos: int) -> Sums:
    """Reads what `recent_views` found, an Arrow table, for each of so many videos."""
    views = np.zeros(videos)
    views[answer.column("video").to_numpy()] = answer.column("views").to_numpy()
    return views
