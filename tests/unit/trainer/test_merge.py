"""Repeats in the log."""

from typing import NamedTuple

import pytest

from trainer.domain.merge import Merged


class Row(NamedTuple):
    event_id: str
    user_id: str = "u"
    video_id: str = "v"
    interaction_type: str = "VIEW"
    watch_time_s: float = 1.0
    feed_session_id: str | None = "s"


LONGEST = Row("1", watch_time_s=9)


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        pytest.param([LONGEST, Row("2", watch_time_s=4), Row("3")], [0], id="the longest view"),
        pytest.param([Row("1"), Row("2")], [0], id="equally long"),
        pytest.param([LONGEST, Row("2"), LONGEST._replace(video_id="w"), Row("4", "u", "w")], [0, 2], id="two views"),
        pytest.param([Row("1"), Row("2", feed_session_id="t")], [0, 1], id="two sessions"),
        pytest.param([Row("1", feed_session_id=None), Row("2", feed_session_id=None)], [0, 1], id="no session"),
        pytest.param([Row("1", feed_session_id=""), Row("2", feed_session_id="")], [0, 1], id="an empty session"),
        pytest.param([Row("1"), Row("2", video_id="w")], [0, 1], id="two videos"),
        pytest.param([Row("1"), Row("2", user_id="t")], [0, 1], id="two users"),
        pytest.param([Row("1", interaction_type="LIKE"), Row("2", interaction_type="LIKE")], [0, 1], id="likes"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_merging(rows: list[Row], left: list[int]) -> None:
    merged = Merged(rows)
    assert list(merged) == [rows[place] for place in left]
    assert merged.repeats == len(rows) - len(left)
