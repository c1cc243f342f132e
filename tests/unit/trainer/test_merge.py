"""Repeats in the log."""

from typing import NamedTuple

import pytest

from trainer.domain.merge import merge_repeats


class Row(NamedTuple):
    event_id: str
    user_id: str = "u"
    video_id: str = "v"
    interaction_type: str = "VIEW"
    watch_time_s: float = 1.0
    feed_session_id: str | None = "s"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([Row("1"), Row("1")], [Row("1")], id="one event twice"),
        pytest.param([Row("1"), Row("2", watch_time_s=9)], [Row("2", watch_time_s=9)], id="the longest view"),
        pytest.param(
            [Row("1", watch_time_s=9), Row("2")], [Row("1", watch_time_s=9)], id="the longest view came first"
        ),
        pytest.param([Row("1"), Row("2")], [Row("1")], id="equally long"),
        pytest.param([Row("1"), Row("2", feed_session_id="t")], None, id="two sessions"),
        pytest.param([Row("1", feed_session_id=None), Row("2", feed_session_id=None)], None, id="no session"),
        pytest.param([Row("1"), Row("2", video_id="w")], None, id="two videos"),
        pytest.param([Row("1"), Row("2", user_id="t")], None, id="two users"),
        pytest.param([Row("1", interaction_type="LIKE"), Row("2", interaction_type="LIKE")], None, id="likes"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_merging(rows: list[Row], expected: list[Row] | None) -> None:
    assert merge_repeats(rows) == (rows if expected is None else expected)
