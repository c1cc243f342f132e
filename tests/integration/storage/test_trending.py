"""Trending as both databases sum it up."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from storage.database import Database
from storage.trending import Decay, TrendingBucket, add, load_sums, summed

HOUR = datetime(2025, 9, 1, 12, tzinfo=UTC)
DECAY = Decay(half_life_s=86_400.0, short_half_life_s=10_800.0)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


def bucket(video_id: str, hours_ago: float, weight: float, segment: str = "global") -> TrendingBucket:
    return TrendingBucket(HOUR - timedelta(hours=hours_ago), segment, video_id, weight)


async def fill(database: Database, *made: TrendingBucket) -> None:
    async with database.begin() as connection:
        await add(connection, summed(made))


async def sums(
    database: Database, decay: Decay = DECAY, hours: int = 100, videos: int = 100
) -> dict[tuple[str, str], tuple[float, ...]]:
    async with database.read() as connection:
        found = await load_sums(connection, decay, hours=hours, videos=videos)
    return {(each.segment, each.video_id): tuple(round(number, 6) for number in each[2:]) for each in found}


async def test_older_hours_count_less_by_both_half_lives(database: Database) -> None:
    await fill(database, bucket("a", 0, 1.0), bucket("a", 24, 4.0), bucket("b", 3, 2.0), bucket("c", 48, 8.0, "GB"))
    halved = 2 * 0.5 ** (3 / 24)
    long, short = 1 + 2 + halved, 1 + 4 / 256 + 1
    assert await sums(database) == {
        ("global", "a"): pytest.approx((3, 1 + 4 / 256, long, short), abs=1e-5),
        ("global", "b"): pytest.approx((halved, 1, long, short), abs=1e-5),
        ("GB", "c"): pytest.approx((2, 8 / 65_536, 2, 8 / 65_536), abs=1e-5),
    }


@pytest.mark.parametrize("years", [0, 10], ids=["now", "ten-years-ago"])
async def test_a_log_ranks_the_same_however_long_ago_it_ended(database: Database, years: int) -> None:
    """An imported data set is old; measured from the clock, all of its weights would be zero."""
    shift = years * 365 * 24.0
    await fill(database, bucket("a", shift + 24, 1.0), bucket("b", shift, 1.0))
    assert {video: found[0] for (_, video), found in (await sums(database)).items()} == {"a": 0.5, "b": 1.0}


async def test_what_is_too_long_ago_for_a_number_counts_nothing(database: Database) -> None:
    await fill(database, bucket("old", 365 * 24, 1e6), bucket("new", 0, 1.0))
    assert (await sums(database, Decay(60.0, 7.5)))["global", "old"][:2] == (0, 0)


async def test_the_newest_hours_and_in_an_hour_the_heaviest_are_taken(database: Database) -> None:
    await fill(database, *(bucket(f"v{hour}{n}", hour, n) for hour in range(3) for n in range(1, 4)))
    assert {video for _, video in await sums(database, hours=4)} == {"v03", "v02", "v01", "v13"}


async def test_the_first_videos_are_returned_but_all_are_counted(database: Database) -> None:
    await fill(database, bucket("big", 24, 20.0), bucket("new", 0, 6.0), bucket("small", 0, 1.0))
    best = await sums(database, videos=1)
    assert {key: found[2] for key, found in best.items()} == {("global", "big"): 17}
    rising = await sums(database, Decay(86_400.0, 10_800.0, rising=2.0), videos=1)
    assert set(rising) == {("global", "new")}


async def test_nothing_trends_before_anything_happens(database: Database) -> None:
    assert await sums(database) == {}
