"""The embedded log: a folder with several topics of one partition each, made of append-only segments.

Written by several processes and read by others. `append` returns when the records are on disk, after one write and
one flush (some milliseconds, whatever they hold), so writers put everything that waits into one.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Final

from eventlog.adapters import journal_folder
from eventlog.adapters.journal_folder import TopicFolder
from eventlog.adapters.journal_quarantine import Quarantine
from eventlog.adapters.journal_reader import TopicReader
from eventlog.adapters.journal_writer import TopicWriter
from eventlog.ports import LogFullError, Record, StoredRecord
from eventlog.telemetry import NoTelemetry, Telemetry

# 600 MB hold 10 minutes of 2,000 events a second.
DEFAULT_MAX_BYTES: Final = 600_000_000

# Space comes back by whole segments: small against the limit, large against the cost of making a file.
_SEGMENT_BYTES: Final = 16_000_000
_SEGMENTS_OF_THE_LIMIT: Final = 8
# Other processes append too; their share of the limit is looked up this often.
_LOOK_AT_SIZES_S: Final = 0.5

_FULL_RETRY_AFTER_S: Final = 5.0
# Whoever is refused comes again besides those who are new: after a second each, that was six times the load (R20).
_DISK_FULL_RETRY_AFTER_S: Final = 2.0
_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class _Topic:
    folder: TopicFolder
    reader: TopicReader
    writer: TopicWriter

    def close(self) -> None:
        for part in (self.reader, self.writer, self.folder):
            part.close()


class JournalFile:
    """The journal as one thread of one process uses it.

    Args:
        path: Its folder; made when missing.
        max_bytes: Refuse to append beyond this size of all segments, in bytes.
        keep: For some topics, how many records are kept whether read or not; the others keep all unread ones.
        telemetry: Told of what is put into quarantine.

    Raises:
        OSError: When the folder cannot be read or written; so does every method.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        keep: Mapping[str, int] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = dict(keep or {})
        self._telemetry = telemetry or NoTelemetry()
        self._topics: dict[str, _Topic] = {}
        self._used = 0
        self._look_at = 0.0
        journal_folder.make_folder(path)
        for topic in journal_folder.topic_names(path):
            # A disk that is full or broken must not keep readers out; appending meets the same error again.
            with contextlib.suppress(OSError):
                self._topic(topic).writer.recover()

    def append(self, records: Sequence[Record]) -> None:
        """Appends the records; when it returns they are on disk.

        When it raises, none of them is acknowledged, and readers find none of the topic that failed.

        Raises:
            LogFullError: When the size limit is reached, or the disk is full.
            RecordTooLargeError: A record is far beyond what `ports` allows.
        """
        by_topic = attrgetter("topic")
        with _disk_full_is_log_full():
            for topic, group in groupby(sorted(records, key=by_topic), by_topic):
                self._append(topic, list(group))

    def require_room(self, bytes_more: int = 0) -> None:
        """Raises LogFullError when so many more bytes would exceed the limit."""
        if time.monotonic() >= self._look_at or self._used + bytes_more > self._max_bytes:
            self.bytes_used()
        if self._used + bytes_more > self._max_bytes:
            full = f"the journal holds {self._used:,} of at most {self._max_bytes:,} bytes; is its reader running?"
            raise LogFullError(full, _FULL_RETRY_AFTER_S)

    def require_writable(self, *, try_it: bool) -> None:
        """Raises when an append would fail: LogFullError, or with `try_it` what a real write raises."""
        self.require_room()
        if not try_it:
            return
        with _disk_full_is_log_full():
            for topic in journal_folder.topic_names(self._path):
                self._topic(topic).writer.try_write()
            journal_folder.sync_folder(self._path)

    def read(self, topic: str, offset: int, max_records: int) -> list[StoredRecord]:
        """Returns the records from an offset on; fewer than asked for only at the end.

        A stretch that is damaged is one record that is not intact, at the last offset that it hides.
        """
        return self._topic(topic).reader.read(offset, max_records)

    def next_offset(self, topic: str) -> int | None:
        """Returns the offset the next record of a topic gets; None when the topic has never had one."""
        return self._topic(topic).reader.next_offset()

    def count_from(self, topic: str, offset: int) -> int:
        """Returns how many records a topic holds from an offset on."""
        return self._topic(topic).reader.count_from(offset)

    def oldest_append_time_ms(self, topic: str, from_offset: int) -> int | None:
        """Returns when the first record from an offset on was appended, in Unix milliseconds; None: there is none."""
        found = self.read(topic, from_offset, 1)
        return found[0].append_time_ms if found else None

    def bytes_used(self) -> int:
        """Returns the bytes of all segments, which the limit bounds."""
        self._used = journal_folder.bytes_used(self._path)
        self._look_at = time.monotonic() + _LOOK_AT_SIZES_S
        return self._used

    def position(self, topic: str, reader: str) -> int | None:
        """Returns the position that a reader noted; None when there is none that can be read."""
        return self._topic(topic).folder.position(reader)

    def set_position(self, topic: str, reader: str, next_offset: int) -> None:
        """Notes how far a reader got, and drops the segments that every reader of the topic has passed."""
        found = self._topic(topic)
        slowest = min((found.folder.positions() | {reader: next_offset}).values())
        with contextlib.suppress(OSError):  # the next time will do
            found.writer.drop_if_read(slowest)
        self._prune(found, slowest)
        # Last, after room was made: on a full disk the first position of a reader can be written only then.
        found.folder.save_position(reader, next_offset)

    def close(self) -> None:
        """Closes what is open."""
        for topic in self._topics.values():
            topic.close()
        self._topics.clear()

    def _append(self, name: str, records: Sequence[Record]) -> None:
        topic = self._topic(name)
        mark = topic.writer.append(records, self._take_room)
        if name in self._keep and mark.next_offset - mark.segment <= len(records):
            self._prune(topic, mark.next_offset - self._keep[name])

    def _take_room(self, bytes_more: int) -> None:
        self.require_room(bytes_more)
        self._used += bytes_more

    def _prune(self, topic: _Topic, below: int) -> None:
        mark = topic.folder.read_mark()
        if mark is None:
            return
        segments = [segment for segment in topic.folder.segments() if segment < mark.segment]
        passed = [segment for segment, following in pairwise([*segments, mark.segment]) if following <= below]
        for segment in passed:
            topic.folder.remove_segment(segment)
        if passed:
            topic.reader.look_again()

    def _topic(self, name: str) -> _Topic:
        if name not in self._topics:
            folder = TopicFolder(self._path, name)
            quarantine = Quarantine(folder.path / "quarantine", self._telemetry)
            segment_bytes = min(_SEGMENT_BYTES, self._max_bytes // _SEGMENTS_OF_THE_LIMIT)
            writer = TopicWriter(folder, quarantine, segment_bytes)
            self._topics[name] = _Topic(folder, TopicReader(folder, quarantine), writer)
        return self._topics[name]


@contextmanager
def _disk_full_is_log_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        full = f"the disk under the journal is full: {os.strerror(error.errno)}"
        raise LogFullError(full, _DISK_FULL_RETRY_AFTER_S) from error
