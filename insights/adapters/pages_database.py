"""What was served, from the database."""

from collections.abc import Sequence
from typing import Final

from insights.adapters.database import reading
from insights.ports import PageHead, ServedPage, ServedVideo
from storage import decisions
from storage.database import Database
from storage.decisions import PageRow, VideoRow

_TIMEOUT_S: Final = 2.0


class DatabasePages:
    """The port `ServedPages` on the database.

    Args:
        database: A pool, open as long as this is used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, recommendation_id: str) -> ServedPage | None:
        """Returns a page."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            found = await decisions.read_page(connection, recommendation_id)
        return None if found is None else ServedPage(_head(found[0]), [_video(each) for each in found[1]])

    async def newest_of(self, user_id: str, limit: int) -> Sequence[PageHead]:
        """Returns the pages that a user was served last."""
        async with reading(self._database, _TIMEOUT_S) as connection:
            return [_head(each) for each in await decisions.newest_pages(connection, user_id, limit)]


def _head(row: PageRow) -> PageHead:
    return PageHead(
        row.recommendation_id,
        row.user_id,
        row.feed_session_id or "",
        row.created_at,
        row.source_type,
        row.fallback_reason or "",
        row.algorithm,
        row.model_version or "",
        [(each["experiment"], each["variant"]) for each in row.experiments or ()],
        row.filters_applied or {},
        row.rejections or {},
    )


def _video(row: VideoRow) -> ServedVideo:
    return ServedVideo(
        row.position,
        row.video_id,
        row.title or "",
        row.final_score,
        row.score_components or {},
        row.propensity,
        row.user_action or "",
        row.rating,
        row.watch_time_s or 0.0,
    )
