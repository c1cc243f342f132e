"""What a published model's choice of new videos would come to, judged by lots that were drawn after its data end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from runtime.models.model_bundle import UNKNOWN_CODE, Codes, ModelArrays, find_texts
from storage.kept_places import KeptPlace
from trainer.comparing import named_version
from trainer.domain.dataset import Lists
from trainer.domain.off_policy import Estimate, Logged, Rows, Support, chances, judge
from trainer.domain.ranking import Scores
from trainer.service import Training


class NotEstimableError(Exception):
    """What lots chose says too little of the model's choices; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """What a model's choices would come to.

    Args:
        version: The model.
        since: Lots after this count, UTC: the model knows nothing of them.
        strangers: Kept places of users whom it does not know, which are left out.
        support: How much there is to go by.
        estimate: What came of the lots, and would have come of its choices.
    """

    version: str
    since: datetime
    strangers: int
    support: Support
    estimate: Estimate


def estimate_choices(job: Training, name: str) -> Estimated:
    """Estimates from places that were kept for new videos how many of a model's choices would have been accepted.

    Args:
        job: Where models and the database are.
        name: A version, or "live".

    Raises:
        BundleError: When the model is not there or not good.
        NotEstimableError: When too little can be said, and why.
    """
    version = named_version(job, name)
    bundle = job.store.read(version)
    arrays, since = bundle.arrays, bundle.manifest.data_until
    found = job.database.kept_places(since)
    rows = find_texts(arrays.user_ids, [place.user_id for place in found])
    places = [place for place, row in zip(found, rows.tolist(), strict=True) if row != UNKNOWN_CODE]
    after = f"pages of models after {since:%Y-%m-%d %H:%M:%S} UTC, of which it knows nothing,"
    if not places:
        raise NotEstimableError(
            f"{version}: {after} have no kept places of users it knows whose outcome is known: serve with"
            " FEED_BRIDGE_EXPLORATION above 0, keep the insights running, and wait for the outcome window"
        )
    users, user = np.unique(rows[rows != UNKNOWN_CODE], return_inverse=True)
    support, estimate = _judge(arrays, users, user.astype(np.int64), places, job.settings.trainer_seed)
    if estimate is None:
        raise NotEstimableError(f"{version}: {after} have {support.places:,} kept places, but {support.refusal}")
    return Estimated(version, since, len(found) - len(places), support, estimate)


def _judge(
    arrays: ModelArrays, users: Codes, user: Rows, places: Sequence[KeptPlace], seed: int
) -> tuple[Support, Estimate | None]:
    """Judges a model by kept places.

    Args:
        arrays: The model.
        users: int32 user_index of those who had places.
        user: int64, row of `users` of each place.
        places: They; at least one.
        seed: Of the bootstrap.
    """
    items = find_texts(arrays.video_ids, [place.video_id for place in places])
    # What the model does not know, or would not rank, is nobody's choice.
    drawn = np.where((items != UNKNOWN_CODE) & arrays.item_active[items], items, UNKNOWN_CODE)
    videos = np.unique(drawn[drawn != UNKNOWN_CODE])
    row_of = np.full(len(arrays.video_ids) + 1, UNKNOWN_CODE, np.int32)
    row_of[videos] = np.arange(len(videos), dtype=np.int32)
    logged = Logged(
        user,
        row_of[drawn].astype(np.int64),
        np.array([place.propensity for place in places]),
        np.array([place.is_accepted for place in places], np.float64),
    )
    scores = Scores(arrays.user_factors[users], arrays.item_factors[videos], arrays.item_prior[videos])
    seen = _seen(arrays, users, row_of)
    return judge(logged, chances(scores, seen, logged), seed)


def _seen(arrays: ModelArrays, users: Codes, row_of: Codes) -> Lists:
    """Returns which of the videos each user has seen, by row."""
    rows, items = Lists(arrays.seen_offsets, arrays.seen_items).pairs_of(users)
    videos = row_of[items]
    counts = np.bincount(rows[videos != UNKNOWN_CODE], minlength=len(users))
    return Lists(np.concatenate([[0], np.cumsum(counts)]), videos[videos != UNKNOWN_CODE])
