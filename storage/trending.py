"""What is watched now: hourly weights by segment and video."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import as_json, insert, unix_seconds
from storage.tables import trending

# The segment that holds everybody; every other one is the two-letter country of its users.
GLOBAL_SEGMENT: Final = "global"


class TrendingBucket(NamedTuple):
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


_COLUMNS: Final = ("segment", "bucket", "video_id", "weight")
_Row: TypeAlias = tuple[str, datetime, str, float]

_ADD_ALL: Final = sa.text(
    "INSERT INTO trending (segment, bucket, video_id, weight)"
    " SELECT told ->> 0, CAST(told ->> 1 AS timestamptz), told ->> 2, CAST(told ->> 3 AS double precision)"
    " FROM json_array_elements(CAST(:rows AS json)) AS told"
    " ON CONFLICT (segment, bucket, video_id) DO UPDATE SET weight = trending.weight + excluded.weight"
)


def segments_of(country: str | None) -> tuple[str, ...]:
    """Returns the segments that what a user does counts in.

    Args:
        country: The user's two-letter country; None or empty: unknown.
    """
    return (GLOBAL_SEGMENT, country) if country else (GLOBAL_SEGMENT,)


# Start of the hour in Unix seconds, segment, video, weight.
BucketRow: TypeAlias = tuple[float, str, str, float]


async def add(connection: AsyncConnection, rows: Iterable[TrendingBucket]) -> None:
    """Adds these weights to those that are there; rows of one key are summed first."""
    summed = _summed(rows)
    if not summed:
        return
    if connection.dialect.name == "postgresql":
        # One statement for all: a statement a row takes five times as long.
        rows_json = as_json([(segment, bucket.isoformat(), *rest) for segment, bucket, *rest in summed])
        await connection.execute(_ADD_ALL, {"rows": rows_json})
        return
    statement = insert(trending, connection.dialect.name)
    total = trending.c.weight + statement.excluded.weight
    upsert = statement.on_conflict_do_update(index_elements=["segment", "bucket", "video_id"], set_={"weight": total})
    await connection.execute(upsert, [dict(zip(_COLUMNS, row, strict=True)) for row in summed])


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


def _summed(rows: Iterable[TrendingBucket]) -> list[_Row]:
    sums: dict[tuple[str, datetime, str], float] = {}
    for bucket, segment, video_id, weight in rows:
        key = (segment, bucket, video_id)
        sums[key] = sums.get(key, 0.0) + weight
    # Sorted, so that two writers lock the rows in the same order and never wait for each other in a circle.
    return [(*key, weight) for key, weight in sorted(sums.items())]
