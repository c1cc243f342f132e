"""The newest interactions from the database."""

from collections.abc import Sequence
from typing import Final

from bridge.adapters.reading import reading
from bridge.domain.recent import FollowedEvent, RecentEvent
from feed.interactions.v1 import interactions_pb2
from feed.recommendations.v1 import recommendations_pb2
from storage import recent_interactions
from storage.database import Database
from storage.recent_interactions import RecentRow

# Rows are made into values between two requests: a millisecond or two for this many.
_ROWS_A_QUERY: Final = 250
_TIMEOUT_S: Final = 2.0


class DatabaseRecent:
    """The port `RecentReader` on the database.

    Args:
        database: A pool.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_row(self) -> int:
        """Returns the number of the newest row; raises ListError."""
        async with reading(self._database, "recent", _TIMEOUT_S) as connection:
            return await recent_interactions.newest_row(connection)

    async def rows_after(self, row: int) -> Sequence[FollowedEvent]:
        """Returns the next rows; raises ListError."""
        async with reading(self._database, "recent", _TIMEOUT_S) as connection:
            found = await recent_interactions.rows_after(connection, row, _ROWS_A_QUERY)
        return [_followed(each) for each in found]


def _followed(row: RecentRow) -> FollowedEvent:
    event = RecentEvent(row.time_s, _on_the_wire(row))
    return FollowedEvent(row.row, row.user_id, event, row.video_id, row.interaction_type)


def _on_the_wire(row: RecentRow) -> bytes:
    """Returns a request that holds nothing but this interaction, serialized."""
    request = recommendations_pb2.GetRecommendationsRequest()
    event = request.recent_interactions.add(
        user_id=row.user_id,
        video_id=row.video_id,
        interaction_type=_TYPES.get(row.interaction_type, interactions_pb2.INTERACTION_TYPE_UNSPECIFIED),
        watch_time_s=row.watch_time_s,
        rating=row.rating,
    )
    event.timestamp.FromMilliseconds(int(row.time_s * 1000))
    return request.SerializeToString()


_TYPES: Final = dict(interactions_pb2.InteractionType.items())
