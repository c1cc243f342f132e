"""Places that were kept for new videos, with the lot's probability and what came of them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

from storage.tables import prediction_outcomes, recommendation_decisions

_DECISION: Final = recommendation_decisions.c
_OUTCOME: Final = prediction_outcomes.c

# Source of the pages that a model ranked; on others a model chooses nothing.
_BY_MODEL: Final = "LIGHTFM"
_BATCH_ROWS: Final = 20_000


class KeptPlace(NamedTuple):
    """A place on a page of the model that went to a new video by lot.

    Args:
        user_id: Whose page.
        video_id: The video that the lot fell on.
        propensity: With which probability it did, above 0.
        is_accepted: Whether the user took it up.
    """

    user_id: str
    video_id: str
    propensity: float
    is_accepted: bool


def kept_places(connection: sa.Connection, since: datetime) -> Iterator[KeptPlace]:
    """Streams the kept places of pages from a time on, as far as all that was served by then has its outcome.

    A page whose window is still open must not count: of those only what was accepted is known.

    Args:
        connection: An open transaction.
        since: Pages that were served up to then are left out, UTC.
    """
    open_since = sa.select(sa.func.min(_OUTCOME.created_at)).where(
        _OUTCOME.user_action == sa.literal_column("'pending'")
    )
    oldest_open = connection.scalar(open_since)
    wanted = (
        sa.select(_DECISION.user_id, _DECISION.video_id, _DECISION.propensity, _OUTCOME.status_after == "accepted")
        .join_from(
            recommendation_decisions,
            prediction_outcomes,
            (_OUTCOME.recommendation_id == _DECISION.recommendation_id) & (_OUTCOME.position == _DECISION.position),
        )
        .where(_DECISION.created_at > since, _DECISION.source_type == _BY_MODEL, _DECISION.propensity > 0)
    )
    if oldest_open is not None:
        wanted = wanted.where(_DECISION.created_at < oldest_open)
    found = connection.execution_options(yield_per=_BATCH_ROWS).execute(wanted)
    return (KeptPlace(*row) for row in found)
