"""A published model ranks the videos of a later log."""

import numpy as np

from runtime.models.model_bundle import text_table
from tests.model_bundles import arrays_of
from trainer.domain.live_scores import published_scores

VIDEOS = ["v0", "v1", "v2"]
MODEL = arrays_of({"down": (0.5, -1.0, 0.0), "up": (0.0, 1.0, 0.0)}, VIDEOS, prior=[0.0, 0.0, 5.0])


def test_users_and_videos_are_found_by_their_names() -> None:
    """The log has lost a user and a video, and has longer names and new ones between."""
    found = published_scores(MODEL, text_table(["newcomer", "up"]), text_table(["v0", "v00-new", "v2"]))
    scores = found.user_factors @ found.item_factors.T + found.prior
    assert scores[1, [0, 2]].tolist() == [0.0, 7.0]
    assert scores[0, [0, 2]].tolist() == [0.0, 5.0], "whom it does not know it ranks for by prior and bias"
    assert (scores[:, 1] < -1e29).all(), "what it does not know comes last"


def test_a_model_of_nobody_ranks_for_all_alike() -> None:
    nobody = arrays_of({"a": (0.0, 0.0, 0.0)}, VIDEOS)
    emptied = type(nobody)(
        **{**nobody.named(), "user_ids": nobody.user_ids[:0], "user_factors": nobody.user_factors[:0]}
    )
    found = published_scores(emptied, text_table(["a", "b"]), text_table(VIDEOS))
    assert np.ptp(found.user_factors @ found.item_factors.T + found.prior, axis=0).tolist() == [0.0] * 3
