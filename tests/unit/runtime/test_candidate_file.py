"""The file that names the model which is tried."""

import os
from pathlib import Path

import pytest

from runtime.models import candidate_file
from runtime.models.candidate_file import CANDIDATE_FILE, Candidate, Mode
from runtime.models.model_bundle import BundleError, BundleFault

GOOD = '{"model_version":"m2","mode":"canary","share":0.05}\n'


def test_what_was_written_is_read_until_it_is_removed(tmp_path: Path) -> None:
    assert candidate_file.read(tmp_path) is None
    for candidate in (Candidate("m2", Mode.SHADOW, 0.1), Candidate("m2", Mode.CANARY, 0.05)):
        candidate_file.write(tmp_path, candidate)
        assert candidate_file.read(tmp_path) == candidate
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(CANDIDATE_FILE, GOOD)]
    for _ in range(2):
        candidate_file.remove(tmp_path)
        assert candidate_file.read(tmp_path) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(GOOD, "", id="nothing"),
        pytest.param(GOOD, "[]", id="another type"),
        pytest.param("m2", "../../m2", id="a path"),
        pytest.param("m2", "m2\\n", id="a line feed"),
        pytest.param("canary", "both", id="no mode"),
        pytest.param("0.05", "1.01", id="above all"),
        pytest.param("0.05", "-0.1", id="below nobody"),
        pytest.param("0.05", "null", id="no share"),
        pytest.param('"share"', '"part"', id="another field"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / CANDIDATE_FILE).write_text(GOOD.replace(old, new))
    with pytest.raises(BundleError) as refused:
        candidate_file.read(tmp_path)
    assert refused.value.fault is BundleFault.BAD_MANIFEST


def test_a_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    (tmp_path / CANDIDATE_FILE).write_text(GOOD + " " * 10_000)
    with pytest.raises(BundleError) as refused:
        candidate_file.read(tmp_path)
    assert refused.value.fault is BundleFault.TOO_LARGE


def test_neither_a_link_nor_a_pipe_is_followed(tmp_path: Path) -> None:
    path, other = tmp_path / CANDIDATE_FILE, tmp_path / "other"
    other.write_text(GOOD)
    path.symlink_to(other)
    for _ in range(2):
        with pytest.raises(BundleError) as refused:
            candidate_file.read(tmp_path)
        assert refused.value.fault is BundleFault.NOT_A_FILE
        path.unlink()
        os.mkfifo(path)


@pytest.mark.parametrize("share", [float("nan"), 1.5])
def test_what_no_scorer_would_take_is_not_written(tmp_path: Path, share: float) -> None:
    candidate_file.write(tmp_path, Candidate("m2", Mode.SHADOW, 0.1))
    with pytest.raises(BundleError):
        candidate_file.write(tmp_path, Candidate("m3", Mode.CANARY, share))
    assert candidate_file.read(tmp_path) == Candidate("m2", Mode.SHADOW, 0.1)
