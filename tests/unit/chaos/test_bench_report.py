"""The page of the published benchmark."""

from pathlib import Path

import pytest

from tests.bench.report.page import Measured, page
from tests.bench.report.timeline import drawn
from tests.chaos.load import Call
from tests.chaos.processes import Move
from tests.chaos.recorded import FOLDER_VARIABLE, Recorded, keep, kept
from tests.chaos.watching import Seen


def seen(time: float, source: str) -> Seen:
    return Seen(time, 5.0, source, "", "", refused=False, model_version="")


RUN = Recorded.of(
    "test_r01_killed.py::test_it",
    [Call(101.0, 200.0, "Unavailable"), Call(100.0, 10.0, "OK")],
    [seen(100.0, "LIGHTFM"), seen(100.2, "LIGHTFM"), seen(100.5, "TRENDING")],
    [Move(100.4, "closed", "open")],
)


def test_times_begin_with_the_first_call_and_sources_are_told_when_they_change():
    assert RUN.calls == [(0.0, 10.0, "OK"), (1.0, 200.0, "Unavailable")]
    assert RUN.sources == [(0.0, "LIGHTFM"), (0.5, "TRENDING")]
    assert [(round(time, 3), state) for time, state in RUN.moves] == [(0.4, "open")]


def test_a_run_is_kept_where_somebody_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keep(RUN)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    keep(RUN)
    keep(RUN)
    (first, second) = kept(tmp_path)
    assert first == second
    assert (first.test, len(first.calls)) == (RUN.test, 2)


def test_a_picture_has_each_call_in_its_place_and_a_failed_one_in_its_colour():
    # 10 ms are a third of the way from 1 ms up to 1,000, and at the left end.
    assert '<rect class="call" x="56" y="142" width="2" height="2"/>' in drawn(RUN)
    assert drawn(RUN).count("bad-call") == 1


def test_the_page_tells_what_was_met_and_what_was_not_and_runs_nothing_that_it_is_told():
    figures = [
        {"figure": "R01", "what": "a <script>", "p99_ms": 12.345678, "target": "< 15", "met": True},
        {"figure": "R02", "what": "b", "target": "0", "met": False},
    ]
    text = page(Measured("today", {"processor": "p"}, {"Python": "3"}, ["python -m x"], figures, [RUN]))
    assert "1 of 2 targets met" in text
    assert "p99 ms 12.35" in text
    assert "a &lt;script&gt;" in text
    assert "<script" not in text
    assert text.count("<figure>") == 1
