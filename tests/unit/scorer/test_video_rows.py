"""Rows by id and back, in a dict and by hashes."""

import pytest

from runtime.models.model_bundle import UNKNOWN_CODE, text_table
from scorer.domain.video_rows import VideoRows

IDS = [f"v{number:04}" for number in range(3000)]


@pytest.fixture(params=[pytest.param(10_000, id="dict"), pytest.param(100, id="hashes")])
def rows(request: pytest.FixtureRequest) -> VideoRows:
    return VideoRows(text_table(IDS), request.param)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(IDS, list(range(3000)), id="all"),
        pytest.param(["v2999", "v0000"], [0, 2999], id="the edges"),
        pytest.param(["v0007", "v0007"], [7, 7], id="one twice"),
        pytest.param(["", "v", "v3000", "v00070", "ü", "v0001"], [1], id="unknown ones"),
        pytest.param([], [], id="none"),
    ],
)
def test_rows_of_known_videos(rows: VideoRows, wanted: list[str], expected: list[int]) -> None:
    assert sorted(rows.rows(wanted).tolist()) == expected


def test_one_row_and_back(rows: VideoRows) -> None:
    assert (rows.row("v0042"), rows.row("v9")) == (42, UNKNOWN_CODE)
    assert rows.ids(rows.rows(["v0042"])) == ["v0042"]
