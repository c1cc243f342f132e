"""A count of popularity carried on: what was counted ages, what came since is added."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from runtime.models.popularity import Popularity
from trainer.domain.popularity import advanced, empty

NOON = datetime(2025, 9, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def counted(views: Mapping[str, float], until: datetime = NOON, row: int = 1) -> Popularity:
    return advanced(empty(DAY.total_seconds(), until), views.items(), until, row)


def views_of(popularity: Popularity) -> dict[str, float]:
    ids = [video_id.decode() for video_id in popularity.video_ids.tolist()]
    return dict(zip(ids, popularity.recent_views.tolist(), strict=True))


def test_what_was_counted_halves_with_each_half_life() -> None:
    later = advanced(counted({"a": 4.0, "b": 2.0}), [("b", 1.0), ("c", 3.0)], NOON + DAY, 9)
    assert views_of(later) == {"a": 2.0, "b": 2.0, "c": 3.0}
    assert (later.counted_until, later.last_row) == (NOON + DAY, 9)


def test_the_table_is_in_the_order_of_utf8() -> None:
    ids = ["v10", "v9", "z", "Z", "v1", "ä"]
    found = counted({video_id: nth + 1.0 for nth, video_id in enumerate(ids)})
    assert found.video_ids.tolist() == sorted(video_id.encode() for video_id in ids)
    assert views_of(found) == {video_id: nth + 1.0 for nth, video_id in enumerate(ids)}


def test_what_has_faded_is_forgotten() -> None:
    later = advanced(counted({"one": 1.0, "many": 1_000.0}), [], NOON + 7 * DAY, 2)
    assert views_of(later) == pytest.approx({"many": 1_000 / 128})
