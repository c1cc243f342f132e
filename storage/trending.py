"""What is watched now: hourly weights by segment and video."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import insert, unix_seconds
from storage.tables import trending

# The segment that holds everybody; every other one is the two-letter country of its users.
GLOBAL_SEGMENT: Final = "global"


@dataclass(frozen=True, slots=True)
class TrendingBucket:
    """The weight that one video gathered in one hour.

    Args:
        bucket: Start of the hour, UTC.
        segment: `global`, or a two-letter country.
        video_id: The video.
        weight: Sum of the weights of its interactions.
    """

    bucket: datetime
    segment: str
    video_id: str
    weight: float


# Start of the hour in Unix seconds, segment, video, weight.
BucketRow: TypeAlias = tuple[float, str, str, float]


async def add(connection: AsyncConnection, rows: Sequence[TrendingBucket]) -> None:
    """Adds these weights to those that are there; rows of one key are summed first."""
    if not rows:
        return
    statement = insert(trending, connection.dialect.name)
    total = trending.c.weight + statement.excluded.weight
    upsert = statement.on_conflict_do_update(index_elements=["segment", "bucket", "video_id"], set_={"weight": total})
    await connection.execute(upsert, _summed(rows))


async def load_buckets(connection: AsyncConnection, limit_per_segment: int) -> list[BucketRow]:
    """Returns the newest hours of every segment, newest first, and in an hour the heaviest videos first.

    Plain tuples with the hour as a number: a gateway reads thousands of them between two requests.

    Args:
        connection: An open transaction.
        limit_per_segment: Most rows a segment.
    """
    hour = unix_seconds(trending.c.bucket, connection.dialect.name)
    segments = (await connection.scalars(sa.select(trending.c.segment).distinct())).all()
    found: list[BucketRow] = []
    for segment in sorted(segments):
        newest = (
            sa.select(hour, trending.c.segment, trending.c.video_id, trending.c.weight)
            .where(trending.c.segment == segment)
            .order_by(trending.c.bucket.desc(), trending.c.weight.desc(), trending.c.video_id)
            .limit(limit_per_segment)
        )
        rows: Sequence[Any] = (await connection.execute(newest)).all()
        found += rows
    return found


def _summed(rows: Sequence[TrendingBucket]) -> list[dict[str, object]]:
    sums: dict[tuple[str, datetime, str], float] = {}
    for row in rows:
        key = (row.segment, row.bucket, row.video_id)
        sums[key] = sums.get(key, 0.0) + row.weight
    # Sorted, so that two writers lock the rows in the same order and never wait for each other in a circle.
    return [
        {"segment": segment, "bucket": bucket, "video_id": video_id, "weight": weight}
        for (segment, bucket, video_id), weight in sorted(sums.items())
    ]
