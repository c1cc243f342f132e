"""What scores are the sum of."""

from typing import Final

import numpy as np

from runtime.models.model_bundle import BIAS_COLUMNS, Floats

PART_NAMES: Final = ("user_item", "user_bias", "item_bias", "prior", "correction", "stages")


def parts_of(user_row: Floats, item_rows: Floats, prior: Floats | None, change: Floats | None) -> Floats:
    """Takes scores apart, float32, shape (n, len(PART_NAMES)); "stages" is left 0.

    Args:
        user_row: The user's, shape (d + 2,).
        item_rows: Those of the videos, shape (n, d + 2).
        prior: Their priors, shape (n,); None: left out.
        change: What corrections add to them, shape (n,); None: nothing.
    """
    parts = np.zeros((len(item_rows), len(PART_NAMES)), np.float32)
    parts[:, 0] = item_rows[:, BIAS_COLUMNS:] @ user_row[BIAS_COLUMNS:]
    parts[:, 1] = user_row[1]
    parts[:, 2] = item_rows[:, 0]
    if prior is not None:
        parts[:, 3] = prior
    if change is not None:
        parts[:, 4] = change
    return parts


def with_stages(parts: Floats, served: Floats) -> Floats:
    """Puts into "stages" what the served scores differ from the sum of the other parts."""
    parts[:, -1] = served - parts[:, :-1].sum(axis=1)
    return parts
