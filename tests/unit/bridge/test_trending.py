"""Time-decayed trending (design part 4)."""

import pytest

from bridge.domain.trending import Bucket, Trend, trends

HOUR = 3_600.0


def test_old_interactions_count_half_each_half_life() -> None:
    found = trends(
        [Bucket(0.0, "global", "old", 4.0), Bucket(24 * HOUR, "global", "new", 3.0)],
        half_life_s=24 * HOUR,
        limit=10,
    )
    assert found == {"global": Trend(("new", "old"), (3.0, 2.0))}


@pytest.mark.parametrize("years", [0, 10], ids=["now", "ten-years-ago"])
def test_a_log_ranks_the_same_however_long_ago_it_ended(years: int) -> None:
    """An imported data set is old; measured from the clock, all of its weights would be zero."""
    shift = -years * 365 * 24 * HOUR
    found = trends(
        [Bucket(shift, "global", "a", 1.0), Bucket(shift + HOUR, "global", "b", 1.0)], half_life_s=HOUR, limit=10
    )
    assert found == {"global": Trend(("b", "a"), (1.0, 0.5))}


def test_hours_of_one_video_add_up_and_segments_stay_apart() -> None:
    buckets = [
        Bucket(0.0, "global", "a", 1.0),
        Bucket(0.0, "global", "b", 3.0),
        Bucket(0.0, "global", "a", 2.5),
        Bucket(0.0, "GB", "b", 1.0),
    ]
    assert trends(buckets, half_life_s=HOUR, limit=10) == {
        "global": Trend(("a", "b"), (3.5, 3.0)),
        "GB": Trend(("b",), (1.0,)),
    }


def test_ties_go_by_id_and_the_list_is_cut() -> None:
    buckets = [Bucket(0.0, "global", video_id, 1.0) for video_id in ("c", "a", "b")]
    assert trends(buckets, half_life_s=HOUR, limit=2) == {"global": Trend(("a", "b"), (1.0, 1.0))}


def test_what_is_disliked_on_the_whole_does_not_trend() -> None:
    assert trends([Bucket(0.0, "global", "a", -1.0)], half_life_s=HOUR, limit=5) == {"global": Trend((), ())}


def test_no_buckets_make_no_trends() -> None:
    assert trends([], half_life_s=HOUR, limit=5) == {}
