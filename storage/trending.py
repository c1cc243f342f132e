"""What is watched now: hourly weights by segment and video."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.dialect import as_json, decayed_by, insert, postgres_rows, unix_seconds
from storage.segments import GLOBAL_SEGMENT
from storage.tables import trending


class TrendingBucket(NamedTuple):
    """The weight that one video gathered in one hour.

    Args:
        bucket: Start of the hour, UTC.
        segment: Whose interactions: everybody's, a country's or a language's (`segments.py`).
        video_id: The video.
        weight: Sum of the weights of its interactions.
    """

    bucket: datetime
    segment: str
    video_id: str
    weight: float


_COLUMNS: Final = ("segment", "bucket", "video_id", "weight")
# Sums by segment, hour and video, as `summed` makes them.
Summed: TypeAlias = Sequence[tuple[str, datetime, str, float]]

_ADD_ALL: Final = sa.text(
    "INSERT INTO trending (segment, bucket, video_id, weight)"  # noqa: S608  # names of our own parameters
    " SELECT segment, CAST(bucket AS timestamptz), video_id, CAST(weight AS double precision)"
    f" FROM {postgres_rows(*_COLUMNS)}"
    " AS told (segment, bucket, video_id, weight)"
    " ON CONFLICT (segment, bucket, video_id) DO UPDATE SET weight = trending.weight + excluded.weight"
)


class DecayedSum(NamedTuple):
    """What one video gathered in a segment, older hours counting less.

    Args:
        segment: The segment.
        video_id: The video.
        long: The sum of its weights, each halved for every half-life of age.
        short: The same with the short half-life.
        all_long: `long` of all videos of the segment together.
        all_short: `short` of all of them.
    """

    segment: str
    video_id: str
    long: float
    short: float
    all_long: float
    all_short: float


class Decay(NamedTuple):
    """How fast weights count less.

    Args:
        half_life_s: After how many seconds one counts half.
        short_half_life_s: The same for what grows now.
        rising: How much the short sum counts where the first videos are chosen.
    """

    half_life_s: float
    short_half_life_s: float
    rising: float = 0.0


async def add(connection: AsyncConnection, rows: Summed) -> None:
    """Adds these sums to those that are there."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        # One statement for all: a statement a row takes five times as long.
        columns = zip(*rows, strict=True)
        await connection.execute(_ADD_ALL, {name: as_json(each) for name, each in zip(_COLUMNS, columns, strict=True)})
        return
    statement = insert(trending, connection.dialect.name)
    total = trending.c.weight + statement.excluded.weight
    upsert = statement.on_conflict_do_update(index_elements=["segment", "bucket", "video_id"], set_={"weight": total})
    await connection.execute(upsert, [dict(zip(_COLUMNS, row, strict=True)) for row in rows])


async def load_sums(connection: AsyncConnection, decay: Decay, *, hours: int, videos: int) -> list[DecayedSum]:
    """Returns the first videos of every segment, in no order.

    Summed up by the database: a gateway has no time for tens of thousands of rows between two requests. Ages are
    measured from the newest hour.

    Args:
        connection: An open transaction.
        decay: How fast weights count less.
        hours: Most hourly sums taken of a segment; the newest, and in an hour the heaviest.
        videos: Most videos returned of a segment.
    """
    row = trending.c
    newest = await connection.scalar(sa.select(sa.func.max(row.bucket)).where(row.segment == GLOBAL_SEGMENT))
    if newest is None:
        return []
    segments = (await connection.scalars(sa.select(row.segment).distinct())).all()
    found: list[DecayedSum] = []
    for segment in sorted(segments):
        chosen = _sums_of(segment, newest, decay, hours, connection.dialect.name)
        found += [DecayedSum._make((segment, *each)) for each in await connection.execute(chosen.limit(videos))]
    return found


def _sums_of(
    segment: str, newest: datetime, decay: Decay, hours: int, dialect_name: str
) -> sa.Select[tuple[str, float, float, float, float]]:
    row = trending.c
    age_s = sa.literal(newest.timestamp(), sa.Float) - unix_seconds(row.bucket, dialect_name)
    picked = (
        sa.select(row.video_id, row.weight, age_s.label("age_s"))
        .where(row.segment == segment)
        .order_by(row.bucket.desc(), row.weight.desc(), row.video_id)
        .limit(hours)
        .subquery()
    )
    long, short = (_decayed(picked, half_life_s) for half_life_s in (decay.half_life_s, decay.short_half_life_s))
    return (
        sa.select(picked.c.video_id, long, short, sa.func.sum(long).over(), sa.func.sum(short).over())
        .group_by(picked.c.video_id)
        .order_by((long + decay.rising * short).desc(), picked.c.video_id)
    )


def _decayed(picked: sa.Subquery, half_life_s: float) -> sa.ColumnElement[float]:
    return sa.func.sum(picked.c.weight * decayed_by(picked.c.age_s, half_life_s))


def summed(rows: Iterable[TrendingBucket]) -> Summed:
    """Returns the sums of weights, one for each key."""
    sums: dict[tuple[str, datetime, str], float] = {}
    for bucket, segment, video_id, weight in rows:
        key = (segment, bucket, video_id)
        sums[key] = sums.get(key, 0.0) + weight
    # Sorted, so that two writers lock the rows in the same order and never wait for each other in a circle.
    return [(*key, weight) for key, weight in sorted(sums.items())]
