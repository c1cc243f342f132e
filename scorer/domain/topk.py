"""The best k of many scores."""

import numpy as np
import numpy.typing as npt

from runtime.model_bundle import Floats


def top_k(scores: Floats, k: int) -> npt.NDArray[np.int64]:
    """Returns the places of the k best scores, best first, ties by place; -inf is never among them.

    Args:
        scores: float32, shape (n,), without NaN.
        k: How many, at least 1; fewer come back when fewer are above -inf.
    """
    size = len(scores)
    bound = np.partition(scores, size - k)[size - k] if k < size else -np.inf
    candidates = np.flatnonzero(scores >= bound) if bound > -np.inf else np.flatnonzero(scores > -np.inf)
    # Candidates come in the order of their places, so a stable sort leaves ties in that order.
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]
