"""Takes one user out of a journal: what was read of the user is overwritten where it lies.

Offsets and sizes stay, so neither writers nor readers need to know. Only what every reader has passed is touched:
nobody reads half of it. What is still to be read is left for the next time.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventlog.adapters import journal_folder
from eventlog.adapters.journal_folder import TopicFolder
from eventlog.domain import frames
from eventlog.domain.frames import Frame
from eventlog.domain.mark import Mark

_ALL_READ: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class JournalErased:
    """What was found of a user.

    Args:
        blanked: Records that say nothing any more, and stretches of damaged bytes that are gone.
        waiting: Records that somebody has still to read.
    """

    blanked: int
    waiting: int

    def __add__(self, other: "JournalErased") -> "JournalErased":
        """Returns both together."""
        return JournalErased(self.blanked + other.blanked, self.waiting + other.waiting)


NOTHING_ERASED: Final = JournalErased(0, 0)


def erase_user(root: Path, user_id: str, passed: Mapping[str, Mapping[str, int]] | None = None) -> JournalErased:
    """Overwrites the records of a user in all topics of a journal; safe to repeat, and beside its writers and readers.

    Args:
        root: Folder of the journal; there may be none.
        user_id: The key of the records, or quoted in their values.
        passed: By topic and reader the next offset to read, where it is known better than by what readers note now and
            then.

    Raises:
        OSError: When a file cannot be read or written.
    """
    total = NOTHING_ERASED
    if not root.is_dir():
        return total
    for topic in journal_folder.topic_names(root):
        folder = TopicFolder(root, topic)
        try:
            total += _erase(folder, user_id.encode(), (passed or {}).get(topic, {}))
        finally:
            folder.close()
    return total


def _erase(folder: TopicFolder, user: bytes, known: Mapping[str, int]) -> JournalErased:
    mark = folder.read_mark()
    if mark is None:
        return NOTHING_ERASED
    positions = {reader: max(noted, known.get(reader, 0)) for reader, noted in folder.positions().items()}
    passed = min(positions.values(), default=_ALL_READ)
    total = JournalErased(_erase_damaged(folder.path / "quarantine", user), 0)
    for segment in folder.segments():
        with contextlib.suppress(FileNotFoundError):  # everybody has read it
            total += _erase_segment(folder, segment, mark, user, passed)
    return total


def _erase_segment(folder: TopicFolder, segment: int, mark: Mark, user: bytes, passed: int) -> JournalErased:
    path = folder.segment_path(segment)
    data = path.read_bytes()
    if segment == mark.segment:
        # What is beyond is a writer's, who may still take it back.
        data = data[: mark.size]
    found = [frame for frame in frames.scan(data, frames.place_of(segment, 0), whole=True) if _is_of(frame, user)]
    read = [frame for frame in found if frame.offset < passed]
    if read:
        target = os.open(path, os.O_WRONLY)
        try:
            for frame in read:
                blank = frames.blank(frame, frames.place_of(segment, frame.start))
                journal_folder.write_all(target, blank, frame.start)
            os.fdatasync(target)
        finally:
            os.close(target)
    return JournalErased(len(read), len(found) - len(read))


def _is_of(frame: Frame, user: bytes) -> bool:
    return frame.key == user or b'"%b"' % user in frame.value


def _erase_damaged(quarantine: Path, user: bytes) -> int:
    """Removes damaged bytes that name the user: they cannot be mended anyway."""
    gone = [path for path in quarantine.glob("*.bin") if b'"%b"' % user in path.read_bytes()]
    for path in gone:
        path.unlink()
    return len(gone)
