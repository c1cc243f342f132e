"""R20: the disk under the journal is full or broken; and what must be on it before anything is acknowledged."""

import errno
import os
from pathlib import Path

import pytest

from eventlog.ports import LogFullError, Record
from tests.unit.eventlog.small_journal import (
    BIG,
    FRAME,
    SMALL,
    Opener,
    keys,
    offsets,
    records,
    reports,
    segments,
    write_behind,
)


class BrokenDisk:
    """The writes of this process to a disk that is full or broken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.flushes = True
        self._pwrite, self._fdatasync = os.pwrite, os.fdatasync
        monkeypatch.setattr(os, "pwrite", self.pwrite)
        monkeypatch.setattr(os, "fdatasync", self.fdatasync)

    def pwrite(self, target: int, data: bytes, position: int) -> int:
        if self.room is None:
            return self._pwrite(target, data, position)
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._pwrite(target, data[: self.room], position)
        self.room -= written
        return written

    def fdatasync(self, target: int) -> None:
        if not self.flushes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fdatasync(target)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> BrokenDisk:
    return BrokenDisk(monkeypatch)


@pytest.mark.parametrize("room", [0, 1, FRAME, FRAME + 1])
def test_a_full_disk_refuses_and_nothing_is_half_there(
    path: Path, open_file: Opener, disk: BrokenDisk, room: int
) -> None:
    file = open_file()
    file.append(records(2))
    disk.room = room

    with pytest.raises(LogFullError, match="the disk under the journal is full"):
        file.append(records(3))
    assert segments(path)[-1].stat().st_size == 2 * FRAME
    disk.room = 0
    with pytest.raises(LogFullError):
        file.require_writable(try_it=True)

    disk.room = None
    file.require_writable(try_it=True)
    file.append(records(1))
    assert keys(file) == ["k0", "k1", "k0"]
    assert reports(path) == []


def test_a_flush_that_fails_ends_the_segment(path: Path, open_file: Opener, disk: BrokenDisk) -> None:
    """What is on disk after it nobody knows, and the next flush would not say."""
    file = open_file()
    file.append(records(2))
    disk.flushes = False
    with pytest.raises(OSError, match="Input/output"):
        file.append(records(3))
    disk.flushes = True

    file.append(records(1))

    first = offsets(file)[0]
    assert keys(file) == ["k0", "k1", "k0"]
    assert offsets(file) == [first, first + 1, first + 2]
    assert len(segments(path)) == 2


def test_what_a_failed_flush_left_is_not_taken_for_what_came_after(
    path: Path, open_file: Opener, disk: BrokenDisk
) -> None:
    """After a power failure the records that were taken back may be there again."""
    file = open_file()
    file.append(records(2))
    disk.flushes = False
    with pytest.raises(OSError, match="Input/output"):
        file.append(records(1))
    disk.flushes = True
    file.append([Record("t", "after", b"v")])
    write_behind(segments(path)[0], offsets(file)[-1], "ghost")

    assert keys(open_file()) == ["k0", "k1", "after"]


def test_a_reader_makes_room_on_a_full_disk(open_file: Opener, disk: BrokenDisk) -> None:
    file = open_file(max_bytes=SMALL)
    for _ in range(3):
        file.append(records(1, value=BIG))
    last = offsets(file)[-1]

    disk.room = 0
    with pytest.raises(OSError, match="No space"):
        file.set_position("t", "reader", last)

    assert offsets(file) == [last]


def test_a_position_is_rewritten_in_place(open_file: Opener, path: Path) -> None:
    """So that a full disk, which nobody can drain else, does not keep the relay from getting on."""
    file = open_file()
    file.append(records(3))
    file.set_position("t", "reader", 9)
    found = (path / "t" / "reader.position").stat()

    file.set_position("t", "reader", 10_000_000_000_000_000)

    again = (path / "t" / "reader.position").stat()
    assert (found.st_ino, found.st_size) == (again.st_ino, again.st_size)
    assert open_file().position("t", "reader") == 10_000_000_000_000_000


def test_a_record_its_segment_and_its_mark_are_on_disk_before_the_acknowledgement(
    path: Path, open_file: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power failure takes cannot be tried here; so the flushes are watched."""
    flushed: list[str] = []

    def watch(name: str) -> None:
        flush = getattr(os, name)

        def watched(target: int) -> None:
            flushed.append(Path(f"/proc/self/fd/{target}").readlink().name)
            flush(target)

        monkeypatch.setattr(os, name, watched)

    watch("fsync")
    watch("fdatasync")
    file = open_file()
    assert flushed == [path.parent.name]
    flushed.clear()

    file.append(records(1))
    segment = segments(path)[0].name
    assert flushed[0] == path.name, "the topic's folder is new"
    assert flushed[-1] == segment
    assert {"mark", "t"} <= set(flushed)
    flushed.clear()

    file.append(records(1))
    assert flushed == [segment]
