"""The switch on disk: whole or not at all, and a damaged file is said to be one."""

import itertools
from pathlib import Path

import pytest

from bridge.adapters.switch_file import FILE_NAME, SwitchFile
from bridge.domain.breaker import Mode
from bridge.domain.switch import Switch
from bridge.ports import SwitchError


def test_without_a_file_nothing_is_set(tmp_path: Path) -> None:
    file = SwitchFile(tmp_path / "bridge")
    assert (file.version(), file.read()) == (None, Switch())


def test_what_was_written_is_read_by_everybody(tmp_path: Path) -> None:
    switch = Switch(Mode.OPEN, {"127.0.0.1:50052": Mode.CLOSED})
    SwitchFile(tmp_path / "bridge").write(switch)
    assert SwitchFile(tmp_path / "bridge").read() == switch


def test_every_write_is_seen_as_a_change(tmp_path: Path) -> None:
    """Also one of equal length within the same tick of the clock: each write makes a new file."""
    file = SwitchFile(tmp_path)
    versions = [file.version()]
    for mode in (Mode.OPEN, Mode.AUTO, Mode.OPEN):
        file.write(Switch(mode))
        versions.append(file.version())
    assert all(before != after for before, after in itertools.pairwise(versions))


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"everywhere":"op', id="torn"),
        pytest.param(b'{"everywhere":"ajar"}', id="unknown-mode"),
        pytest.param(b'{"every where":"open"}', id="misspelt-name"),
        pytest.param(b'{"targets":["a:1"]}', id="wrong-form"),
        pytest.param(b"\xff\xfe", id="no-text"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damaged)
    with pytest.raises(SwitchError, match=FILE_NAME):
        SwitchFile(tmp_path).read()


def test_a_failed_write_leaves_the_old_one(tmp_path: Path) -> None:
    SwitchFile(tmp_path).write(Switch(Mode.OPEN))
    blocked = SwitchFile(tmp_path / FILE_NAME)  # a file where the folder should be
    with pytest.raises(SwitchError):
        blocked.write(Switch())
    assert SwitchFile(tmp_path).read() == Switch(Mode.OPEN)
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]
