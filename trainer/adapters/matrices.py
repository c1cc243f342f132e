"""A dataset as scipy's sparse matrices, which the fitters' libraries take."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from runtime.models.model_bundle import Floats
from trainer.domain.dataset import Dataset


def likes(dataset: Dataset, values: Floats) -> Any:
    """Returns who liked what, a CSR matrix, float32, shape (n_users, n_videos).

    Args:
        dataset: What is learned.
        values: float32, one for each of the dataset's positives.
    """
    place = (dataset.positives.user, dataset.positives.video)
    return sp.csr_matrix((values, place), (dataset.users, dataset.videos), dtype=np.float32)


def histories(dataset: Dataset) -> Any:
    """Returns what describes each user, a CSR matrix, float32, shape (n_users, n_videos).

    Each of the newest videos that the user liked counts by 1 / sqrt(their number).
    """
    lengths = dataset.history.lengths()
    value = np.repeat(1.0 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    return sp.csr_matrix(
        (value, dataset.history.videos, dataset.history.offsets), (dataset.users, dataset.videos), dtype=np.float32
    )
