"""The folder of one topic of the journal: its files and their names, and nothing of what they mean.

00001763747000000000.log    a segment, named by its first offset
mark                        how far the topic is on disk (eventlog.domain.mark)
lock                        held by who appends
sink.position               where a reader is
quarantine/                 damaged bytes, each with a line of JSON
"""

import contextlib
import fcntl
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from eventlog.domain import mark as marks
from eventlog.domain.mark import Mark

_SEGMENT_SUFFIX: Final = ".log"
_POSITION_SUFFIX: Final = ".position"
# What a segment, a mark or a position holds is about persons.
_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
# A writer holds the lock for a flush, some milliseconds; who holds it longer is stopped or on a dead disk.
_LOCK_TIMEOUT_S: Final = 5.0
_LOCK_LOOK_S: Final = 0.001
# Why what lies in the folder of a journal is no topic: removed by now, a file, or none of our business.
_NO_TOPIC: Final = (FileNotFoundError, NotADirectoryError, PermissionError)
# A mark is rewritten in place; a read in that moment may find half of each.
_MARK_READS: Final = 3


class TopicFolder:
    """The files of one topic. Nothing is made before something is written.

    Args:
        root: Folder of the journal.
        topic: Name of the topic.
    """

    def __init__(self, root: Path, topic: str) -> None:
        self.topic = topic
        self.path = root / file_name(topic)
        self._mark_path = self.path / "mark"
        self._lock_path = self.path / "lock"
        self._mark_file: int | None = None

    def segments(self) -> list[int]:
        """Returns the first offsets of the segments, in order."""
        stems = (path.stem for path in self.path.glob(f"*{_SEGMENT_SUFFIX}"))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def segment_path(self, first: int) -> Path:
        """Returns where a segment lies."""
        return self.path / f"{first:020d}{_SEGMENT_SUFFIX}"

    def segment_bytes(self, first: int) -> int:
        """Returns the size of a segment; 0 when there is none."""
        try:
            return self.segment_path(first).stat().st_size
        except FileNotFoundError:
            return 0

    def open_segment(self, first: int, *, make: bool = False) -> int:
        """Returns a descriptor to read a segment, or to write it, too, when it may be made."""
        return os.open(self.segment_path(first), os.O_RDWR | os.O_CREAT if make else os.O_RDONLY, _MODE)

    def remove_segment(self, first: int) -> None:
        """Removes a segment; another process may have been faster."""
        self.segment_path(first).unlink(missing_ok=True)

    def read_mark(self) -> Mark | None:
        """Returns the mark; None when there is none or it is damaged."""
        if self._mark_file is None and not self._open_mark():
            return None
        for _ in range(_MARK_READS):
            assert self._mark_file is not None  # noqa: S101  # opened above
            mark = marks.decode(os.pread(self._mark_file, marks.MARK_BYTES, 0))
            if mark is not None:
                return mark
        return None

    def write_mark(self, mark: Mark, *, sync: bool) -> None:
        """Rewrites the mark; with `sync` it is on disk when this returns, in the file that the folder has now."""
        if sync:
            self.close()
        target = os.open(self._mark_path, os.O_WRONLY | os.O_CREAT, _MODE)
        try:
            os.pwrite(target, marks.encode(mark), 0)
            if sync:
                os.fdatasync(target)
        finally:
            os.close(target)

    def positions(self) -> dict[str, int]:
        """Returns where the readers are; 0 for one whose position cannot be read, so that nothing is dropped."""
        paths = self.path.glob(f"*{_POSITION_SUFFIX}")
        return {unquote(path.name.removesuffix(_POSITION_SUFFIX)): _read_position(path) or 0 for path in paths}

    def position(self, reader: str) -> int | None:
        """Returns where a reader is; None when that is not known."""
        return _read_position(self._position_path(reader))

    def save_position(self, reader: str, next_offset: int) -> None:
        """Rewrites the position of a reader, in place: that needs no room, which a full disk does not have."""
        make_folder(self.path)
        target = os.open(self._position_path(reader), os.O_WRONLY | os.O_CREAT, _MODE)
        try:
            os.pwrite(target, _position_line(next_offset), 0)
            os.fdatasync(target)
        finally:
            os.close(target)

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[bool]:
        """Holds the lock of the writers; says whether it got it, which without `wait` it may not.

        Raises:
            TimeoutError: When another process held it for too long.
        """
        holder = self._open_lock()
        try:
            deadline = time.monotonic() + (_LOCK_TIMEOUT_S if wait else 0)
            while not (taken := _take(holder)) and time.monotonic() < deadline:
                time.sleep(_LOCK_LOOK_S)
            if wait and not taken:
                raise TimeoutError(f"another process holds {self.path / 'lock'}")
            yield taken
        finally:
            os.close(holder)

    def close(self) -> None:
        """Closes what is open."""
        if self._mark_file is not None:
            os.close(self._mark_file)
            self._mark_file = None

    def _open_lock(self) -> int:
        try:
            return os.open(self._lock_path, os.O_RDWR | os.O_CREAT, _MODE)
        except FileNotFoundError:
            make_folder(self.path)
            return os.open(self._lock_path, os.O_RDWR | os.O_CREAT, _MODE)

    def _open_mark(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            self._mark_file = os.open(self._mark_path, os.O_RDONLY)
        return self._mark_file is not None

    def _position_path(self, reader: str) -> Path:
        return self.path / f"{file_name(reader)}{_POSITION_SUFFIX}"


def file_name(name: str) -> str:
    """Returns a name that a file can have."""
    quoted = quote(name, safe="")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def topic_names(root: Path) -> list[str]:
    """Returns the topics of a journal; a folder that is none may lie beside them, such as `lost+found`."""
    kept = ("mark", f"*{_SEGMENT_SUFFIX}")
    return sorted(unquote(path.name) for path in root.iterdir() if any(any(path.glob(name)) for name in kept))


def bytes_used(root: Path) -> int:
    """Returns the bytes of all segments of a journal."""
    used = 0
    for topic in root.iterdir():
        with contextlib.suppress(*_NO_TOPIC), os.scandir(topic) as entries:
            used += sum(entry.stat().st_size for entry in entries if entry.name.endswith(_SEGMENT_SUFFIX))
    return used


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, so that they are there after a power failure too."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(_FOLDER_MODE, exist_ok=True)
        sync_folder(each.parent)


def sync_folder(path: Path) -> None:
    """Returns once the names in a folder are on disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_all(target: int, data: bytes, position: int) -> None:
    """Writes all of the bytes at a place of a file, or raises."""
    view = memoryview(data)
    while view:
        written = os.pwrite(target, view, position)
        view, position = view[written:], position + written


def _take(holder: int) -> bool:
    try:
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _position_line(next_offset: int) -> bytes:
    digits = b"%020d" % next_offset
    return b"%s %08x\n" % (digits, zlib.crc32(digits))


def _read_position(path: Path) -> int | None:
    try:
        line = path.read_bytes()
    except FileNotFoundError:
        return None
    digits = line.partition(b" ")[0]
    return int(digits) if digits.isdigit() and line == _position_line(int(digits)) else None
